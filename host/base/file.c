/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static semcal_status file_error(semcal_error *error, const char *path, const char *what)
{
    return sc_error_set(error, SEMCAL_E_DATA, "%s: %s: %s", path, what, strerror(errno));
}

semcal_status sc_file_read(char **data, size_t *length, const char *path, semcal_error *error)
{
    *data = NULL;
    *length = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return file_error(error, path, "cannot open");
    }
    semcal_status status = SEMCAL_OK;
    char *buffer = NULL;
    size_t used = 0, capacity = 0;
    struct stat info;
    if (fstat(fileno(file), &info) == 0 && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        status = file_error(error, path, "cannot read");
        goto done;
    }
    for (;;) {
        status = sc_memory_grow(&buffer, &capacity, used + 65536 + 1, 1, error);
        if (status != SEMCAL_OK) {
            goto done;
        }
        size_t n = fread(buffer + used, 1, capacity - used - 1, file);
        used += n;
        if (n == 0) {
            break;
        }
    }
    if (ferror(file)) {
        status = file_error(error, path, "cannot read");
        goto done;
    }
    buffer[used] = '\0';
    *data = buffer;
    *length = used;
    buffer = NULL;
done:
    free(buffer);
    (void)fclose(file);
    return status;
}

static void fsync_folder_of(const char *path)
{
    char *copy = sc_memory_strdup(path, NULL);
    if (copy == NULL) {
        return;
    }
    char *slash = strrchr(copy, '/');
    const char *folder = ".";
    if (slash != NULL) {
        *slash = '\0';
        folder = slash == copy ? "/" : copy;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(copy);
}

semcal_status sc_file_commit(const char *temporary, const char *path, semcal_error *error)
{
    int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return file_error(error, temporary, "cannot open");
    }
    int failed = fsync(fd);
    (void)close(fd);
    if (failed != 0) {
        return file_error(error, temporary, "cannot fsync");
    }
    if (rename(temporary, path) != 0) {
        return file_error(error, path, "cannot rename into place");
    }
    fsync_folder_of(path);
    return SEMCAL_OK;
}

semcal_status sc_file_write_atomic(const char *path, const void *data, size_t length, semcal_error *error)
{
    sc_text temporary = {0};
    FILE *file = NULL;
    semcal_status status = sc_text_printf(&temporary, error, "%s.tmp.%ld", path, (long)getpid());
    if (status != SEMCAL_OK) {
        goto done;
    }
    file = fopen(temporary.data, "wb");
    if (file == NULL) {
        status = file_error(error, temporary.data, "cannot create");
        goto done;
    }
    bool written = fwrite(data, 1, length, file) == length;
    bool closed = fclose(file) == 0;
    if (!written || !closed) {
        status = file_error(error, path, "cannot write");
        (void)unlink(temporary.data);
        goto done;
    }
    status = sc_file_commit(temporary.data, path, error);
done:
    sc_text_free(&temporary);
    return status;
}

semcal_status sc_file_make_folder(const char *path, semcal_error *error)
{
    char *copy = sc_memory_strdup(path, error);
    if (copy == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    for (char *slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL) {
            *slash = '\0';
        }
        if (copy[0] != '\0' && mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status = file_error(error, copy, "cannot make the folder");
            break;
        }
        if (slash == NULL) {
            break;
        }
        *slash = '/';
    }
    if (status == SEMCAL_OK && !sc_file_is_folder(path)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: exists and is not a folder", path);
    }
    free(copy);
    return status;
}

bool sc_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool sc_file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool sc_file_has_room(const char *folder)
{
    enum { PROBE = 65536 };
    char *block = sc_memory_alloc(PROBE, 1, NULL);
    sc_text path = {0};
    bool room = true;
    if (block != NULL && sc_text_printf(&path, NULL, "%s/.room.%ld", folder, (long)getpid()) == SEMCAL_OK) {
        const int fd = open(path.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int failure = fd < 0 ? errno : 0;
        for (size_t at = 0; fd >= 0 && failure == 0 && at < PROBE;) {
            const ssize_t n = write(fd, block + at, PROBE - at);
            failure = n < 0 ? errno : 0;
            at += n > 0 ? (size_t)n : 0;
        }
        if (fd >= 0) {
            failure = failure == 0 && fsync(fd) != 0 ? errno : failure;
            (void)close(fd);
            (void)unlink(path.data);
        }
        room = failure != ENOSPC && failure != EDQUOT && failure != EFBIG;
    }
    sc_text_free(&path);
    free(block);
    return room;
}

char *sc_file_join(const char *folder, const char *name, semcal_error *error)
{
    if (name[0] == '/' || folder[0] == '\0') {
        return sc_memory_strdup(name, error);
    }
    sc_text text = {0};
    size_t n = strlen(folder);
    bool slash = folder[n - 1] == '/';
    if (sc_text_printf(&text, error, "%s%s%s", folder, slash ? "" : "/", name) != SEMCAL_OK) {
        sc_text_free(&text);
    }
    return text.data;
}

static void hex_of(char hex[65], const unsigned char *digest)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

void sc_sha256_hex(char hex[65], const void *data, size_t length)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    (void)EVP_Digest(data, length, digest, NULL, EVP_sha256(), NULL);
    hex_of(hex, digest);
}

struct sc_sha256 {
    EVP_MD_CTX *context;
};

sc_sha256 *sc_sha256_begin(semcal_error *error)
{
    sc_sha256 *sum = sc_memory_alloc(1, sizeof *sum, error);
    if (sum != NULL &&
        ((sum->context = EVP_MD_CTX_new()) == NULL || EVP_DigestInit_ex(sum->context, EVP_sha256(), NULL) != 1)) {
        (void)sc_error_set(error, SEMCAL_E_MEMORY, "out of memory while hashing");
        sc_sha256_end(NULL, sum);
        sum = NULL;
    }
    return sum;
}

void sc_sha256_add(sc_sha256 *sum, const void *data, size_t length)
{
    (void)EVP_DigestUpdate(sum->context, data, length);
}

void sc_sha256_end(char hex[65], sc_sha256 *sum)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    if (sum != NULL && hex != NULL) {
        (void)EVP_DigestFinal_ex(sum->context, digest, NULL);
        hex_of(hex, digest);
    }
    if (sum != NULL) {
        EVP_MD_CTX_free(sum->context);
    }
    free(sum);
}

/* `length` UINT64_MAX: to the end. */
static semcal_status hash_file(char hex[65], const char *path, uint64_t length, semcal_error *error)
{
    hex[0] = '\0';
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return file_error(error, path, "cannot open");
    }
    semcal_status status = SEMCAL_OK;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    char *buffer = sc_memory_alloc(1 << 20, 1, error);
    if (context == NULL || buffer == NULL) {
        status = sc_error_set(error, SEMCAL_E_MEMORY, "%s: out of memory while hashing", path);
        goto done;
    }
    (void)EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    uint64_t left = length;
    size_t n;
    while (left > 0 && (n = fread(buffer, 1, left < (1 << 20) ? (size_t)left : 1 << 20, file)) > 0) {
        (void)EVP_DigestUpdate(context, buffer, n);
        left -= n;
    }
    if (ferror(file)) {
        status = file_error(error, path, "cannot read");
        goto done;
    }
    if (length != UINT64_MAX && left > 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: ends %llu bytes early", path, (unsigned long long)left);
        goto done;
    }
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    (void)EVP_DigestFinal_ex(context, digest, NULL);
    hex_of(hex, digest);
done:
    free(buffer);
    EVP_MD_CTX_free(context);
    (void)fclose(file);
    return status;
}

semcal_status sc_file_sha256(char hex[65], const char *path, semcal_error *error)
{
    return hash_file(hex, path, UINT64_MAX, error);
}

semcal_status sc_file_sha256_part(char hex[65], const char *path, uint64_t length, semcal_error *error)
{
    return hash_file(hex, path, length, error);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

semcal_status sc_file_list(char ***names, size_t *n_names, const char *folder, const char *suffix, semcal_error *error)
{
    *names = NULL;
    *n_names = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return file_error(error, folder, "cannot list");
    }
    semcal_status status = SEMCAL_OK;
    size_t capacity = 0, n_suffix = strlen(suffix);
    struct dirent *entry;
    while (status == SEMCAL_OK && (entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || n < n_suffix || strcmp(entry->d_name + n - n_suffix, suffix) != 0) {
            continue;
        }
        status = sc_memory_grow(names, &capacity, *n_names + 1, sizeof **names, error);
        if (status == SEMCAL_OK) {
            (*names)[*n_names] = sc_memory_strdup(entry->d_name, error);
            status = (*names)[*n_names] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
            *n_names += status == SEMCAL_OK;
        }
    }
    (void)closedir(dir);
    if (status != SEMCAL_OK) {
        sc_file_list_free(*names, *n_names);
        *names = NULL;
        *n_names = 0;
    } else if (*n_names > 1) {
        qsort(*names, *n_names, sizeof **names, compare_names);
    }
    return status;
}

void sc_file_list_free(char **names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++) {
        free(names[i]);
    }
    free(names);
}
