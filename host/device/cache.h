/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled programs on disk: one file per key, damage is detected, trouble is never fatal. */
#ifndef SC_DEVICE_CACHE_H
#define SC_DEVICE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* The cache folder: $SEMCAL_CACHE_DIR, $XDG_CACHE_HOME/semcal or ~/.cache/semcal; NULL when there is none. To be
 * freed. It may not exist yet. */
char *sc_cache_folder(void);

/* The payload stored under `key`, malloc'ed; NULL when absent or damaged (a damaged file is removed). */
void *sc_cache_load(size_t *length, const char *key);
/* Stores a payload atomically; an unwritable cache is passed over in silence: the program still works. */
void sc_cache_store(const char *key, const void *data, size_t length);
void sc_cache_remove(const char *key);

/* Writes a build log where a person can find it (cache folder, else $TMPDIR, else /tmp); its path, to be freed, or
 * NULL. */
char *sc_cache_write_log(const char *key, const char *log);

#endif
