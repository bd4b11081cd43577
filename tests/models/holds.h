/* Named properties. pan prints the text of an assertion that fails, so the name
 * of the property stands in it: models_test looks for that name.
 * A name is declared once as `hidden byte NAME;` and is never set. */
#ifndef TESTS_MODELS_HOLDS_H_
#define TESTS_MODELS_HOLDS_H_
#define HOLDS(name, condition) assert((condition) || name)
#endif
