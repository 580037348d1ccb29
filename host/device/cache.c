/* SPDX-License-Identifier: Apache-2.0 */
#include "device/cache.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A cache file: this line, the sha256 of the payload in hex, a newline, the payload. */
static const char magic[] = "semcal program 1\n";
enum { HEADER = sizeof magic - 1 + 65 };

char *sc_cache_folder(void)
{
    const char *folder = getenv("SEMCAL_CACHE_DIR");
    if (folder != NULL && folder[0] != '\0') {
        return sc_memory_strdup(folder, NULL);
    }
    folder = getenv("XDG_CACHE_HOME");
    if (folder != NULL && folder[0] == '/') {
        return sc_file_join(folder, "semcal", NULL);
    }
    folder = getenv("HOME");
    if (folder != NULL && folder[0] == '/') {
        return sc_file_join(folder, ".cache/semcal", NULL);
    }
    return NULL;
}

static char *path_of(const char *folder, const char *key, const char *suffix)
{
    sc_text text = {0};
    if (sc_text_printf(&text, NULL, "%s/%s%s", folder, key, suffix) != SEMCAL_OK) {
        sc_text_free(&text);
    }
    return text.data;
}

void *sc_cache_load(size_t *length, const char *key)
{
    *length = 0;
    char *folder = sc_cache_folder();
    char *path = folder == NULL ? NULL : path_of(folder, key, ".program");
    char *data = NULL;
    size_t n = 0;
    bool good = path != NULL && sc_file_read(&data, &n, path, NULL) == SEMCAL_OK;
    if (good) {
        char hex[65] = "";
        good = n > HEADER && memcmp(data, magic, sizeof magic - 1) == 0;
        if (good) {
            sc_sha256_hex(hex, data + HEADER, n - HEADER);
            good = memcmp(data + sizeof magic - 1, hex, 64) == 0;
        }
        if (good) {
            *length = n - HEADER;
            memmove(data, data + HEADER, n - HEADER);
        } else {
            (void)unlink(path);
        }
    }
    if (!good) {
        free(data);
        data = NULL;
    }
    free(path);
    free(folder);
    return data;
}

void sc_cache_store(const char *key, const void *data, size_t length)
{
    char *folder = sc_cache_folder();
    char *path = folder == NULL ? NULL : path_of(folder, key, ".program");
    sc_text text = {0};
    if (path != NULL && sc_file_make_folder(folder, NULL) == SEMCAL_OK) {
        char hex[65];
        sc_sha256_hex(hex, data, length);
        if (sc_text_printf(&text, NULL, "%s%s\n", magic, hex) == SEMCAL_OK &&
            sc_text_append(&text, data, length, NULL) == SEMCAL_OK) {
            (void)sc_file_write_atomic(path, text.data, text.length, NULL);
        }
    }
    sc_text_free(&text);
    free(path);
    free(folder);
}

void sc_cache_remove(const char *key)
{
    char *folder = sc_cache_folder();
    char *path = folder == NULL ? NULL : path_of(folder, key, ".program");
    if (path != NULL) {
        (void)unlink(path);
    }
    free(path);
    free(folder);
}

char *sc_cache_write_log(const char *key, const char *log)
{
    char short_key[17] = "";
    memcpy(short_key, key, strlen(key) < 16 ? strlen(key) : 16);
    char *folder = sc_cache_folder();
    char *path = NULL;
    if (folder != NULL && sc_file_make_folder(folder, NULL) == SEMCAL_OK) {
        path = path_of(folder, short_key, ".log");
        if (path != NULL && sc_file_write_atomic(path, log, strlen(log), NULL) != SEMCAL_OK) {
            free(path);
            path = NULL;
        }
    }
    free(folder);
    if (path == NULL) {
        const char *temporary = getenv("TMPDIR");
        path = path_of(temporary != NULL && temporary[0] == '/' ? temporary : "/tmp", short_key, ".semcal-build.log");
        if (path != NULL && sc_file_write_atomic(path, log, strlen(log), NULL) != SEMCAL_OK) {
            free(path);
            path = NULL;
        }
    }
    return path;
}
