/* Numbers as text, exact both ways: what strtod would give in the C locale, whatever locale the
 * host has set, and a short text that reads back to the same double. */
#ifndef BASE_NUMBER_TEXT_H
#define BASE_NUMBER_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef enum number_kind { NUMBER_NONE, NUMBER_INTEGER, NUMBER_REAL } number_kind;

/* All of text[0..n): sign, digits, `decimal` ('.' or ','), digits, exponent; or inf, infinity.
 * An integer that int64 holds fills both outputs; everything else only *real. */
number_kind number_parse(int64_t *integer, double *real, const char *text, size_t n, char decimal);

/* The shortest of 15 to 17 significant digits that reads back the same; a whole number keeps
 * ".0", so that it is read as a real again. Finite or infinite; returns the length. */
#define NUMBER_TEXT_MAX 40
size_t number_print(char out[NUMBER_TEXT_MAX], double value);
/* The same without ".0": as a person would type it. */
size_t number_print_short(char out[NUMBER_TEXT_MAX], double value);

#endif
