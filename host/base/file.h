/* SPDX-License-Identifier: Apache-2.0 */
/* Files as wholes: read, write atomically, hash, make folders. */
#ifndef SC_BASE_FILE_H
#define SC_BASE_FILE_H

#include "base/error.h"

#include <stdbool.h>

/* Reads a whole file. `*data` has one NUL more than `*length` bytes; free it with free(). SEMCAL_E_DATA on failure. */
semcal_status sc_file_read(char **data, size_t *length, const char *path, semcal_error *error);

/* Writes `length` bytes to a temporary name beside `path`, fsyncs, renames, fsyncs the folder: after a crash the file
 * holds either the old or the new content. */
semcal_status sc_file_write_atomic(const char *path, const void *data, size_t length, semcal_error *error);

/* fsyncs `temporary`, renames it to `path`, fsyncs the folder. */
semcal_status sc_file_commit(const char *temporary, const char *path, semcal_error *error);

/* Makes a folder and its parents; an existing one is fine. */
semcal_status sc_file_make_folder(const char *path, semcal_error *error);

bool sc_file_exists(const char *path);
bool sc_file_is_folder(const char *path);

/* Whether a few blocks can still be written in `folder`: false when its file system is full, over a quota or beyond the
 * process's file size limit. Other failures to write there count as room: they are told by whoever writes. */
bool sc_file_has_room(const char *folder);

/* `folder`/`name` (or `name` itself when it is absolute), to be freed. NULL on exhaustion. */
char *sc_file_join(const char *folder, const char *name, semcal_error *error);

/* Lower-case hexadecimal SHA-256 (64 characters and a NUL). */
semcal_status sc_file_sha256(char hex[65], const char *path, semcal_error *error);
/* The same of the first `length` bytes; SEMCAL_E_DATA when there are fewer. */
semcal_status sc_file_sha256_part(char hex[65], const char *path, uint64_t length, semcal_error *error);
void sc_sha256_hex(char hex[65], const void *data, size_t length);

/* The same of data that comes in pieces. Begin makes it, or returns NULL; end gives the sum (hex NULL: nobody wants it)
 * and frees. */
typedef struct sc_sha256 sc_sha256;
sc_sha256 *sc_sha256_begin(semcal_error *error);
void sc_sha256_add(sc_sha256 *sum, const void *data, size_t length);
void sc_sha256_end(char hex[65], sc_sha256 *sum);

/* Names in `folder` that end in `suffix`, sorted; free with sc_file_list_free. */
semcal_status sc_file_list(char ***names, size_t *n_names, const char *folder, const char *suffix, semcal_error *error);
void sc_file_list_free(char **names, size_t n_names);

#endif
