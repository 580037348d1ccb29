/* SPDX-License-Identifier: Apache-2.0 */
/* The last line of a file says what the rest must be. */
#include "base/file.h"
#include "experiment/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char seal_begin[] = "\nsemcal sha256 ";
enum { SEAL_BEGIN = sizeof seal_begin - 1, SEAL_LENGTH = SEAL_BEGIN + 64 + 1 };

semcal_status sc_store_seal(const char *path, semcal_error *error)
{
    char hex[65];
    semcal_status status = sc_file_sha256(hex, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    FILE *file = fopen(path, "ab");
    bool written = file != NULL && fprintf(file, "%s%s\n", seal_begin, hex) == SEAL_LENGTH;
    bool closed = file != NULL && fclose(file) == 0;
    if (!written || !closed) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", path, strerror(errno));
    }
    return SEMCAL_OK;
}

static bool read_seal(char seal[SEAL_LENGTH + 1], uint64_t *content, const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    bool there = file != NULL && fstat(fileno(file), &info) == 0 && info.st_size >= SEAL_LENGTH &&
                 fseeko(file, -(off_t)SEAL_LENGTH, SEEK_END) == 0 && fread(seal, 1, SEAL_LENGTH, file) == SEAL_LENGTH;
    if (file != NULL) {
        (void)fclose(file);
    }
    *content = there ? (uint64_t)info.st_size - SEAL_LENGTH : 0;
    seal[SEAL_LENGTH] = '\0';
    return there && memcmp(seal, seal_begin, SEAL_BEGIN) == 0 && seal[SEAL_LENGTH - 1] == '\n';
}

semcal_status sc_store_check_seal(uint64_t *content, const char *path, semcal_error *error)
{
    char seal[SEAL_LENGTH + 1], hex[65];
    *content = 0;
    if (!sc_file_exists(path)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: no such file", path);
    }
    if (!read_seal(seal, content, path)) {
        return sc_error_set(
            error, SEMCAL_E_DATA,
            "%s: its seal is missing: not a cell file of semcal, cut off, or changed by another program", path);
    }
    semcal_status status = sc_file_sha256_part(hex, path, *content, error);
    if (status == SEMCAL_OK && memcmp(seal + SEAL_BEGIN, hex, 64) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: does not match its sha256, it was damaged or changed", path);
    }
    return status;
}

semcal_status sc_store_look_at_seal(bool *sealed, const char *path, semcal_error *error)
{
    char seal[SEAL_LENGTH + 1];
    uint64_t content;
    *sealed = read_seal(seal, &content, path);
    return *sealed ? sc_store_check_seal(&content, path, error) : SEMCAL_OK;
}

semcal_status sc_store_commit_sealed(const char *temporary, const char *path, semcal_error *error)
{
    semcal_status status = sc_store_seal(temporary, error);
    if (status == SEMCAL_OK) {
        status = sc_file_commit(temporary, path, error);
    }
    if (status != SEMCAL_OK) {
        (void)unlink(temporary);
    }
    return status;
}

semcal_status sc_store_write_sealed(const char *path, sc_store_content write, const void *payload, semcal_error *error)
{
    sc_h5 *file = NULL;
    sc_text temporary = {0};
    semcal_status status = sc_text_printf(&temporary, error, "%s.tmp", path);
    if (status == SEMCAL_OK) {
        status = sc_h5_create(&file, temporary.data, error);
    }
    if (status == SEMCAL_OK) {
        status = write(file, payload, error);
        semcal_status closed = sc_h5_close(&file, status == SEMCAL_OK ? error : NULL);
        status = status == SEMCAL_OK ? closed : status;
    }
    if (status == SEMCAL_OK) {
        status = sc_store_commit_sealed(temporary.data, path, error);
    } else if (temporary.data != NULL) {
        (void)unlink(temporary.data);
    }
    sc_text_free(&temporary);
    return status;
}

semcal_status sc_store_open_sealed(sc_h5 **file, const char *path, const char *format, int64_t version,
                                   semcal_error *error)
{
    uint64_t content;
    char *has = NULL;
    int64_t has_version = 0;
    *file = NULL;
    semcal_status status = sc_store_check_seal(&content, path, error);
    if (status == SEMCAL_OK) {
        status = sc_h5_open(file, path, false, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_text(&has, *file, "", "format", error);
    }
    if (status == SEMCAL_OK && strcmp(has, format) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: its format is '%s', not '%s'", path, has, format);
    }
    free(has);
    if (status == SEMCAL_OK) {
        status = sc_h5_get_int(&has_version, *file, "", "format_version", error);
    }
    if (status == SEMCAL_OK && has_version != version) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: format version %lld, this program reads %lld", path,
                              (long long)has_version, (long long)version);
    }
    if (status != SEMCAL_OK) {
        (void)sc_h5_close(file, NULL);
    }
    return status;
}
