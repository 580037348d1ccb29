# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: program, library and header with a pkg-config file and a CMake package, kernels,
# configurations, man pages, completions, documents. Then CPack's .deb of the same.
include(CMakePackageConfigHelpers)
set(SEMCAL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/semcal)
set(SEMCAL_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where zsh looks for completions")

list(JOIN SEMCAL_MODULES " " SEMCAL_MODULES_TEXT)

install(TARGETS semcal_program)
install(TARGETS semcal EXPORT semcal)
install(FILES host/include/semcal.h TYPE INCLUDE)
install(EXPORT semcal NAMESPACE semcal:: DESTINATION ${SEMCAL_CMAKE_DIR} FILE semcal-targets.cmake)
configure_package_config_file(scripts/cmake/semcal-config.cmake.in ${CMAKE_BINARY_DIR}/generated/semcal-config.cmake
                              INSTALL_DESTINATION ${SEMCAL_CMAKE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/semcal-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/semcal-config.cmake ${CMAKE_BINARY_DIR}/generated/semcal-config-version.cmake
        DESTINATION ${SEMCAL_CMAKE_DIR})

# pkg-config: libraries without a .pc everywhere are given by folder and name
set(SEMCAL_PRIVATE_LIBS)
foreach(path IN LISTS HDF5_C_LIBRARY_hdf5 HDF5_C_LIBRARY_hdf5_hl HDF5_HL_LIBRARIES CLBLAST_LIBRARY)
  if(EXISTS "${path}")
    get_filename_component(folder ${path} DIRECTORY)
    get_filename_component(name ${path} NAME_WE)
    string(REGEX REPLACE "^lib" "" name ${name})
    list(APPEND SEMCAL_PRIVATE_LIBS -L${folder} -l${name})
  endif()
endforeach()
list(REMOVE_DUPLICATES SEMCAL_PRIVATE_LIBS)
list(APPEND SEMCAL_PRIVATE_LIBS -pthread -lm)
list(JOIN SEMCAL_PRIVATE_LIBS " " SEMCAL_PRIVATE_LIBS)
file(RELATIVE_PATH SEMCAL_PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(scripts/cmake/semcal.pc.in ${CMAKE_BINARY_DIR}/generated/semcal.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/semcal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(DIRECTORY cl configs DESTINATION ${CMAKE_INSTALL_DATADIR}/semcal)
install(FILES scripts/completion/semcal.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME semcal)
install(FILES scripts/completion/semcal.zsh DESTINATION ${SEMCAL_ZSH_DIR} RENAME _semcal)
install(FILES scripts/completion/semcal.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

# Debian's rules for documents: manual and changelog compressed, the licence in a file `copyright`
option(SEMCAL_DEBIAN "Install documents as Debian packages do" OFF)
function(semcal_install_document source destination)
  if(SEMCAL_DEBIAN)
    get_filename_component(name ${source} NAME)
    if(ARGN)
      set(name ${ARGN})
    endif()
    set(packed ${CMAKE_BINARY_DIR}/generated/${name}.gz)
    execute_process(COMMAND gzip -9nc ${source} OUTPUT_FILE ${packed} COMMAND_ERROR_IS_FATAL ANY)
    install(FILES ${packed} DESTINATION ${destination})
  else()
    install(FILES ${source} DESTINATION ${destination})
  endif()
endfunction()
semcal_install_document(${CMAKE_SOURCE_DIR}/scripts/man/semcal.1 ${CMAKE_INSTALL_MANDIR}/man1)
semcal_install_document(${CMAKE_SOURCE_DIR}/scripts/man/semcal-config.5 ${CMAKE_INSTALL_MANDIR}/man5)
semcal_install_document(${CMAKE_SOURCE_DIR}/scripts/man/semcal-results.5 ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES README.md THEORY.md CONTRIBUTING.md TYPE DOC)
if(SEMCAL_DEBIAN)
  string(TIMESTAMP SEMCAL_NOW "%a, %d %b %Y %H:%M:%S +0000" UTC)  # heeds SOURCE_DATE_EPOCH
  configure_file(scripts/cmake/changelog.in ${CMAKE_BINARY_DIR}/generated/changelog @ONLY)
  semcal_install_document(${CMAKE_BINARY_DIR}/generated/changelog ${CMAKE_INSTALL_DOCDIR})
  semcal_install_document(${CMAKE_SOURCE_DIR}/CHANGELOG.md ${CMAKE_INSTALL_DOCDIR} NEWS)
  install(FILES scripts/cmake/copyright TYPE DOC)
  install(FILES scripts/cmake/overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME semcal)
else()
  install(FILES CHANGELOG.md LICENSE TYPE DOC)
endif()

# ---- .deb: scripts/package.sh ----
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR semcal)
set(CPACK_PACKAGE_CONTACT "the semcal authors <semcal@localhost>")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# an OpenCL driver is needed to run models; PoCL is the one that works everywhere
set(CPACK_DEBIAN_PACKAGE_DEPENDS "pocl-opencl-icd | opencl-icd")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "gnuplot-nox | gnuplot, bash-completion")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS
    "python3-xarray, python3-h5netcdf, libjansson-dev, libyaml-dev, libpcre2-dev, libutf8proc-dev, libssl-dev, ocl-icd-opencl-dev, libhdf5-dev, libclblast-dev")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Draws many answers per question from a language model on an OpenCL device,
collapses them into meanings, and measures how well the confidence in a
meaning is calibrated. Program, library, header, kernels and documents.")
include(CPack)
