/* SPDX-License-Identifier: Apache-2.0 */
/* Collapse kinds exact, alias, choice and model, and the table of kinds. */
#include "check.h"
#include "meaning/collapse.h"

typedef struct item {
    const char *response;
    const char *label; /* NULL: unparsed */
    bool correct;
} item;

static void check_items(const char *kind_name, const sc_collapse_context *context, const item *items, size_t n)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    sc_collapse_question *question;
    size_t n_wrong = 0;
    check_ok(sc_collapse_find(&kind, kind_name, &error), error);
    check_ok(sc_collapse_question_make(&question, kind, context, &error), error);
    for (size_t i = 0; i < n; i++) {
        sc_collapse_class class;
        check_ok(sc_collapse_classify(&class, question, items[i].response, &error), error);
        const char *expected = items[i].label == NULL ? SC_COLLAPSE_UNPARSED : items[i].label;
        if (strcmp(class.label, expected) != 0 || class.parsed != (items[i].label != NULL) ||
            class.correct != items[i].correct || sc_collapse_is_correct(question, class.label) != items[i].correct) {
            print_error("%s %zu: \"%s\" is '%s' correct %d, expected '%s' correct %d\n", kind_name, i,
                        items[i].response, class.label, class.correct, expected, items[i].correct);
            n_wrong++;
        }
        free(class.label);
    }
    sc_collapse_question_free(question);
    assert_int_equal(n_wrong, 0);
}

#define CHECK(kind, context, items) check_items(kind, context, items, sizeof items / sizeof *items)

static void exact_strings(void **state)
{
    (void)state;
    static const char *const answers[] = {"The Beatles"};
    static const item items[] = {
        {"The Beatles", "the beatles", true},
        {"  the   BEATLES.\n", "the beatles", true},
        {"\"The Beatles\"", "the beatles", true},
        {"**The Beatles**", "the beatles", true},
        {"\xE2\x80\x9CThe Beatles\xE2\x80\x9D!", "the beatles", true},
        {"Beatles", "beatles", false}, /* articles belong to the string here */
        {"the-beatles", "the-beatles", false},
        {"-5", "-5", false},
        {"5", "5", false},
        {"5.0", "5.0", false},
        {"unparsed", "unparsed", false}, /* a text like any other: the reserved label is the empty one */
        {"Stra\xC3\x9F"
         "e",
         "strasse", false},
        {"STRASSE", "strasse", false},
        {"\xEF\xBC\xA1\xEF\xBC\xA2", "ab", false},          /* fullwidth */
        {"e\xCC\x81t\xC3\xA9", "\xC3\xA9t\xC3\xA9", false}, /* decomposed and composed are one */
        {"\xEF\xAC\x81sh", "fish", false},                  /* ligature fi */
        {"soft\xC2\xADhyphen", "softhyphen", false},
        {"a\xC2\xA0z", "a z", false},
        {"a\xFFz", "a\xEF\xBF\xBDz", false}, /* not UTF-8 */
        {"", NULL, false},
        {" \n\t ", NULL, false},
        {"...", NULL, false},
        {"?!", NULL, false},
        {"(a)", "(a)", false},
    };
    const sc_collapse_context context = {.answers = answers, .n_answers = 1};
    CHECK("exact", &context, items);
}

static void alias_trivia(void **state)
{
    (void)state;
    static const char *const answers[] = {"Sunset Boulevard", "West Sunset Boulevard", "Sunset Blvd.",
                                          "Sunset Bulevard", "Sunset Blvd"};
    static const item items[] = {
        {"Sunset Boulevard", "sunset boulevard", true},
        {"sunset boulevard.", "sunset boulevard", true},
        {"The Sunset Boulevard", "sunset boulevard", true},
        {"Sunset Blvd.", "sunset boulevard", true},
        {"The answer is West Sunset Boulevard.", "sunset boulevard", true},
        {"It was the film \"Sunset Blvd\" of 1950", "sunset boulevard", true},
        {"sunset_boulevard", "sunset boulevard", true},
        {"Sunset", "sunset", false},
        {"Sunsets Boulevard", "sunsets boulevard", false},
        {"Sunset Boulevards", "sunset boulevards", false},  /* whole words */
        {"The answer is Casablanca.", "casablanca", false}, /* the lead-in is no part of the class */
        {"Casablanca", "casablanca", false},
        {"Answer: Casablanca", "casablanca", false},
        {"Sunset Boulevard is good, but the answer is Casablanca", "casablanca", false}, /* the statement counts */
        {"Sunset Boulevard\nQuestion: who?\nAnswer: me", "sunset boulevard", true},
        {"Casablanca\nQuestion: who?\nAnswer: Sunset Boulevard", "casablanca", false},
        {"", NULL, false},
        {"  ", NULL, false},
    };
    const sc_collapse_context context = {.answers = answers, .n_answers = 5};
    CHECK("alias", &context, items);
}

static void alias_nasty(void **state)
{
    (void)state;
    {
        static const char *const answers[] = {"The Who"};
        static const item items[] = {
            {"The Who", "who", true},
            {"the who.", "who", true},
            {"The answer is The Who.", "who", true},
            {"I know who wrote it", "i know who wrote it", false}, /* a function word is searched nowhere */
        };
        const sc_collapse_context context = {.answers = answers, .n_answers = 1};
        CHECK("alias", &context, items);
    }
    {
        static const char *const answers[] = {"The The"};
        static const item items[] = {{"the the", "the the", true}, {"the", "the", false}, {"them", "them", false}};
        const sc_collapse_context context = {.answers = answers, .n_answers = 1};
        CHECK("alias", &context, items);
    }
    {
        static const char *const answers[] = {"!!!", "chk chk chk"};
        static const item items[] = {
            {"!!!", "!!!", true}, {"Chk, Chk, Chk", "!!!", true}, {"?", "?", false}, {"--.", "--", false}};
        const sc_collapse_context context = {.answers = answers, .n_answers = 2};
        CHECK("alias", &context, items);
    }
    {
        static const char *const answers[] = {"Beyonc\xC3\xA9"};
        static const item items[] = {
            {"Beyonce", "beyonce", true},
            {"BEYONC\xC3\x89 Knowles", "beyonce", true},
            {"Beyonce\xCC\x81", "beyonce", true},
        };
        const sc_collapse_context context = {.answers = answers, .n_answers = 1};
        CHECK("alias", &context, items);
    }
    {
        static const char *const answers[] = {"U.S.", "USA"};
        static const item items[] = {
            {"in the U.S. of course", "u s", true},
            {"U S", "u s", true},
            {"usa", "u s", true},
            {"us", "us", false},
        };
        const sc_collapse_context context = {.answers = answers, .n_answers = 2};
        CHECK("alias", &context, items);
    }
    {
        static const char *const answers[] = {"\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0"}; /* Moskva */
        static const item items[] = {
            {"\xD0\x9C\xD0\x9E\xD0\xA1\xD0\x9A\xD0\x92\xD0\x90!", "\xD0\xBC\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0",
             true},
            /* a Cyrillic short i keeps its breve: only Latin accents are spelling noise */
            {"\xD0\xB9", "\xD0\xB9", false},
            {"\xD0\xB8", "\xD0\xB8", false},
        };
        const sc_collapse_context context = {.answers = answers, .n_answers = 1};
        CHECK("alias", &context, items);
    }
}

/* With other answers listed, two different hits are unparsed. */
static void alias_with_choices(void **state)
{
    (void)state;
    static const char *const answers[] = {"Canberra"};
    static const char *const harbour[] = {"the harbour city"};
    static const sc_choice choices[] = {
        {"Sydney", harbour, 1}, {"Melbourne", NULL, 0}, {"York", NULL, 0}, {"New York", NULL, 0}};
    static const item items[] = {
        {"Canberra", "canberra", true},
        {"It is Sydney.", "sydney", false},
        {"The Harbour City", "sydney", false},
        {"Not Sydney but Canberra", NULL, false},
        {"Sydney, or the harbour city", "sydney", false}, /* two names of one class */
        {"New York", "new york", false},                  /* not York too */
        {"New York and York", NULL, false},
        {"Perth", "perth", false},
    };
    const sc_collapse_context context = {.answers = answers, .n_answers = 1, .choices = choices, .n_choices = 4};
    CHECK("alias", &context, items);
}

static void choice_words(void **state)
{
    (void)state;
    static const char *const answers[] = {"yes"};
    static const char *const no_names[] = {"nope", "false"};
    static const sc_choice choices[] = {{"yes", NULL, 0}, {"no", no_names, 2}};
    static const item items[] = {
        {"Yes.", "yes", true},
        {"no", "no", false},
        {"Nope!", "no", false},
        {"The answer is no", "no", false},
        {"yes and no", NULL, false},
        {"maybe", NULL, false},
        {"nothing", NULL, false}, /* whole words */
        {"yesterday", NULL, false},
        {"No, no, no", "no", false},
        {"", NULL, false},
        {"B", NULL, false}, /* these options have no letters */
        {"Yes it could be. The answer is no.", "no", false},
        {"It is yes. The answer is unclear.", NULL, false},
    };
    const sc_collapse_context context = {.answers = answers, .n_answers = 1, .choices = choices, .n_choices = 2};
    CHECK("choice", &context, items);
}

static void choice_letters(void **state)
{
    (void)state;
    static const char *const answers[] = {"B"};
    static const sc_choice choices[] = {
        {"A) Paris", NULL, 0}, {"B) London", NULL, 0}, {"C) New York", NULL, 0}, {"D) York", NULL, 0}};
    static const item items[] = {
        {"B", "london", true},
        {"b", "london", true},
        {" B.", "london", true},
        {"B)", "london", true},
        {"(B)", "london", true},
        {"**B**", "london", true},
        {"\\boxed{B}", "london", true},
        {"\\boxed{\\text{B}}", "london", true},
        {"(B) London", "london", true},
        {"B. London", "london", true},
        {"London", "london", true},
        {"The answer is B.", "london", true},
        {"The answer is (B).", "london", true},
        {"The answer is B because it is old.", "london", true},
        {"The correct option is B", "london", true},
        {"I choose option B, a nice city", "london", true},
        {"I would say B", "london", true},
        {"B. Paris", NULL, false}, /* the letter says one thing, the word another */
        {"A or B", NULL, false},
        {"(A) and (B)", NULL, false},
        {"A", "paris", false},
        {"a", "paris", false},
        {"A good city", NULL, false}, /* an article */
        {"I think so", NULL, false},
        {"C", "new york", false},
        {"New York", "new york", false},
        {"York", "york", false},
        {"E", NULL, false},
        {"the answer is clear: (C)", "new york", false},
        {"Boston", NULL, false},
    };
    const sc_collapse_context context = {.answers = answers, .n_answers = 1, .choices = choices, .n_choices = 4};
    CHECK("choice", &context, items);
}

static void choice_bare_letters(void **state)
{
    (void)state;
    static const char *const answers[] = {"(C)"};
    static const sc_choice choices[] = {{"A", NULL, 0}, {"B", NULL, 0}, {"C", NULL, 0}, {"D", NULL, 0}};
    static const item items[] = {
        {"C", "c", true},
        {"c.", "c", true},
        {"A dog and a cat: C", "c", true}, /* articles are no options */
        {"The answer is A", "a", false},
        {"a cat", NULL, false},
        {"", NULL, false},
    };
    const sc_collapse_context context = {.answers = answers, .n_answers = 1, .choices = choices, .n_choices = 4};
    CHECK("choice", &context, items);
}

static void choice_letters_in_question(void **state)
{
    (void)state;
    static const char *const answers[] = {"London"};
    static const sc_choice choices[] = {{"Paris", NULL, 0}, {"London", NULL, 0}};
    static const item items[] = {{"B", "london", true}, {"(A)", "paris", false}, {"London", "london", true}};
    sc_collapse_context context = {.question = "Which? A. Paris B. London",
                                   .answers = answers,
                                   .n_answers = 1,
                                   .choices = choices,
                                   .n_choices = 2};
    CHECK("choice", &context, items);
    context.question = "Which is bigger?";
    static const item bare[] = {{"B", NULL, false}, {"London", "london", true}};
    CHECK("choice", &context, bare);
}

/* Without a list, the options are those the question shows. */
static void choice_from_question(void **state)
{
    (void)state;
    static const char *const answers[] = {"(B)"};
    static const item items[] = {
        {"B", "london", true},      {"London.", "london", true},     {"A", "paris", false},
        {"(C)", "new york", false}, {"New York", "new york", false}, {"D", NULL, false},
        {"B. Paris", NULL, false},  {"Rome", NULL, false},
    };
    static const char *const questions[] = {
        "Which is the largest?\n(A) Paris\n(B) London\n(C) New York\nAnswer with a letter.",
        "Which is the largest? A) Paris, B) London, C) New York",
        "A. Paris\nB. London\nC. New York",
    };
    for (size_t i = 0; i < 3; i++) {
        const sc_collapse_context context = {.question = questions[i], .answers = answers, .n_answers = 1};
        CHECK("choice", &context, items);
    }
}

static void bad_lists(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    sc_collapse_question *question;
    sc_collapse_context context = {0};
    check_ok(sc_collapse_find(&kind, "choice", &error), error);
    check_error(sc_collapse_question_make(&question, kind, &context, &error), error, SEMCAL_E_DATA, "list of choices");
    assert_null(question);
    static const sc_choice same[] = {{"yes", NULL, 0}, {"no", NULL, 0}, {"Yes!", NULL, 0}};
    context.choices = same;
    context.n_choices = 3;
    check_error(sc_collapse_question_make(&question, kind, &context, &error), error, SEMCAL_E_DATA,
                "'Yes!' reads the same as choice 'yes'");
    static const char *const clash[] = {"YES"};
    static const sc_choice alias_clash[] = {{"yes", NULL, 0}, {"no", clash, 1}};
    context.choices = alias_clash;
    context.n_choices = 2;
    check_error(sc_collapse_question_make(&question, kind, &context, &error), error, SEMCAL_E_DATA,
                "names both 'yes' and 'no'");
    static const sc_choice blank[] = {{" ", NULL, 0}};
    context.choices = blank;
    context.n_choices = 1;
    check_error(sc_collapse_question_make(&question, kind, &context, &error), error, SEMCAL_E_DATA, "without text");
}

static void kinds_table(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const sc_collapse_kind *kind;
    for (size_t i = 0; i < sc_collapse_n_kinds; i++) {
        check_ok(sc_collapse_find(&kind, sc_collapse_kinds[i]->name, &error), error);
        assert_ptr_equal(kind, sc_collapse_kinds[i]);
        assert_true(kind->description[0] != '\0');
    }
    check_error(sc_collapse_find(&kind, "numerc", &error), error, SEMCAL_E_CONFIG, "did you mean 'numeric'");
    check_error(sc_collapse_find(&kind, "zzzzzz", &error), error, SEMCAL_E_CONFIG, "exact, numeric");
    check_ok(sc_collapse_find(&kind, "alias", &error), error);
    assert_true(kind->open_text);
    check_ok(sc_collapse_find(&kind, "choice", &error), error);
    assert_true(kind->needs_choices && !kind->open_text);
    check_ok(sc_collapse_find(&kind, "model", &error), error);
    assert_true(kind->needs_judge && !kind->open_text);
    sc_collapse_question *question;
    const sc_collapse_context nobody = {.question = "Who?"};
    check_error(sc_collapse_question_make(&question, kind, &nobody, &error), error, SEMCAL_E_CONFIG, "needs a judge");
}

/* What a judge that has an answer for every response says; a response of its own for those without one. */
typedef struct spoken {
    const char *response, *reply;
    bool cut;
} spoken;

static semcal_status say(sc_collapse_reply *reply, const char *question, const char *response, void *payload,
                         semcal_error *error)
{
    const spoken *all = payload;
    *reply = (sc_collapse_reply){response, false};
    for (; all != NULL && all->response != NULL; all++) {
        if (strcmp(all->response, response) == 0) {
            *reply = (sc_collapse_reply){all->reply, all->cut};
        }
    }
    return question == NULL ? sc_error_set(error, SEMCAL_E_DATA, "no question") : SEMCAL_OK;
}

/* What the judge named becomes a class, not the response; a reference answer is no response. */
static void model_replies(void **state)
{
    (void)state;
    static const spoken all[] = {{"It was in Paris, I think.", "Paris.", false},
                                 {"Paris or London, who knows?", "unknown", false},
                                 {"I'd say: no idea", "I do not know.", false},
                                 {"The city of light", "PARIS", false},
                                 {"London, where the king lives", "London", false},
                                 {"It goes on and on", "Paris, the city that", true},
                                 {"nothing", "", false},
                                 {"dots", "...", false},
                                 {"the big apple", "New York City", false},
                                 {"blank", NULL, false},
                                 {"The Answer", "no answer", false},
                                 {NULL, NULL, false}};
    static const char *const unknown[] = {"Unknown", "I do not know"};
    const sc_collapse_judge judge = {
        .reply = say, .payload = (void *)(uintptr_t)all, .unknown = unknown, .n_unknown = 2};
    static const char *const one[] = {"Paris"}, *const several[] = {"New York", "NYC"};
    static const item alone[] = {
        {"It was in Paris, I think.", "paris", true},
        {"The city of light", "paris", true},
        {"London, where the king lives", "london", false},
        {"Paris or London, who knows?", NULL, false},
        {"I'd say: no idea", NULL, false},
        {"It goes on and on", NULL, false},
        {"nothing", NULL, false},
        {"dots", NULL, false},
        {"blank", NULL, false},
        {"The Answer", "no answer", false},
        {"the big apple", "new york city", false},
    };
    sc_collapse_context context = {.question = "Where?", .answers = one, .n_answers = 1, .judge = &judge};
    CHECK("model", &context, alone);
    static const item aliases[] = {{"the big apple", "new york", true}, {"The city of light", "paris", false}};
    context.answers = several;
    context.n_answers = 2;
    CHECK("model", &context, aliases);
    /* another kind in between, which reads the reference too */
    static const spoken numbers[] = {{"first 3, then 4", "$1,000.00", false}, {NULL, NULL, false}};
    static const char *const worked[] = {"5 * 200 = 1000\n#### 1000"};
    static const item exactly[] = {{"first 3, then 4", "1000", true}};
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_collapse_judge then = {.reply = say, .payload = (void *)(uintptr_t)numbers};
    check_ok(sc_collapse_find(&then.then, "numeric", &error), error);
    context = (sc_collapse_context){.question = "How much?", .answers = worked, .n_answers = 1, .judge = &then};
    CHECK("model", &context, exactly);
    /* an accepted answer that says there is none is no class */
    const char *const none[] = {"..."};
    context = (sc_collapse_context){.answers = none, .n_answers = 1, .judge = &judge};
    sc_collapse_question *question;
    const sc_collapse_kind *kind;
    check_ok(sc_collapse_find(&kind, "model", &error), error);
    check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
    assert_int_equal(sc_collapse_n_unparsed_references(question), 1);
    sc_collapse_question_free(question);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_strings),        cmocka_unit_test(alias_trivia),
        cmocka_unit_test(alias_nasty),          cmocka_unit_test(alias_with_choices),
        cmocka_unit_test(choice_words),         cmocka_unit_test(choice_letters),
        cmocka_unit_test(choice_bare_letters),  cmocka_unit_test(choice_letters_in_question),
        cmocka_unit_test(choice_from_question), cmocka_unit_test(bad_lists),
        cmocka_unit_test(kinds_table),          cmocka_unit_test(model_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
