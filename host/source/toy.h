/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source whose law is written in the question: nothing is learned, everything is known in closed form.
 *
 * The rest of the line after the prompt's last "law:", as in
 *     law: alfa=0.6 bravo=0.3 charlie=0.1 decide=last fillers=2
 * gives the distribution of the answer word over the classes (words of the NATO alphabet, weights are normalised),
 * when the word is spoken and how many filler words surround it:
 *     decide=last   fillers first, then the word: the class is open until the last content token
 *     decide=first  the word first, then the fillers: the class is settled by the first token
 * Each filler is "well", "so", "hm" or "er" with probabilities .4 .3 .2 .1, independently of the class; then comes the
 * end token. Hence the pushforward on classes is exactly the written one, a response has probability pi_k times those
 * of its fillers, and a class has 4^fillers strings.
 */
#ifndef SC_SOURCE_TOY_H
#define SC_SOURCE_TOY_H

#include "source/source.h"

enum {
    SC_TOY_END = 0,
    SC_TOY_FILLER = 1, /* first of 4 fillers */
    SC_TOY_N_FILLERS = 4,
    SC_TOY_CLASS = 5, /* first of 26 class words */
    SC_TOY_N_CLASSES = 26,
    SC_TOY_BYTE = 31, /* prompts are bytes */
    SC_TOY_VOCABULARY = 287
};

/* What one question says. */
typedef struct sc_toy_law {
    double pi[SC_TOY_N_CLASSES]; /* normalised */
    int n_fillers;               /* 0..64 */
    bool decides_first;
} sc_toy_law;

semcal_status sc_source_toy_open(sc_source **source, semcal_error *error);

/* Parses a question's text. E_DATA names what is wrong with the law line. */
semcal_status sc_toy_law_parse(sc_toy_law *law, const char *text, size_t length, semcal_error *error);

/* "alfa" for class 0. */
const char *sc_toy_class_word(int k);

#endif
