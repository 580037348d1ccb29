/* SPDX-License-Identifier: Apache-2.0 */
/* What judge.c (who judges), judge_ask.c (asking) and judge_replies.c (the file of replies) share. */
#ifndef SC_EXPERIMENT_JUDGE_INTERNAL_H
#define SC_EXPERIMENT_JUDGE_INTERNAL_H

#include "experiment/judge.h"

/* A response and what was said about it. */
typedef struct sc_judged_entry {
    char key[65];                   /* digest of question and response */
    char *id, *question, *response; /* of what is asked; NULL once there is a reply */
    char *text;                     /* the reply; NULL: not there yet */
    bool cut;
} sc_judged_entry;

enum { SC_JUDGE_ATTRIBUTES = 16 };

struct sc_judged {
    sc_judge_options options;
    char sha256[65]; /* of everything that decides a reply */
    sc_judged_entry *entries;
    size_t n_entries, entries_capacity;
    size_t n_answered; /* the first so many entries have their replies; later ones may */
    size_t *slots;     /* [n_slots] index of an entry plus 1, 0: free; open addressing by key */
    size_t n_slots;
    uint64_t n_asked;
    sc_collapse_judge judge;
    sc_store_attribute attributes[SC_JUDGE_ATTRIBUTES];
    char *values[SC_JUDGE_ATTRIBUTES];
    size_t n_attributes;
};

/* The entry with that key, or NULL. */
sc_judged_entry *sc_judged_find(const sc_judged *judged, const char *key);
/* Takes a reply in: valid UTF-8 without blanks around it. */
semcal_status sc_judged_set(sc_judged_entry *entry, const char *text, size_t length, bool cut, semcal_error *error);

/* Lets go of what was asked, after the reply was taken in and kept. */
void sc_judged_settle(sc_judged_entry *entry);

/* RUN/judge/... for adding; fd -1: replies are not kept. */
typedef struct sc_judge_file {
    char *path;
    int fd;
    sc_text waiting;
    double written_s; /* when it was last written */
} sc_judge_file;

/* Reads the replies to entries that want one, then opens the file for adding. */
semcal_status sc_judge_file_open(sc_judge_file *file, sc_judged *judged, semcal_error *error);
/* `entry` still has its texts. */
semcal_status sc_judge_file_add(sc_judge_file *file, const sc_judged *judged, const sc_judged_entry *entry,
                                semcal_error *error);
semcal_status sc_judge_file_close(sc_judge_file *file, semcal_error *error);

#endif
