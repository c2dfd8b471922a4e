/* Inner loops compiled for wider registers as well, the best one chosen when the program starts.
 * Only for loops whose result does not depend on the width: integers, or floats element by element
 * in fixed lanes (nothing is contracted): the same bits on every processor.
 *
 * Only of static functions: the choice is made by a resolver that the compiler gives the function's
 * linkage but not its hidden visibility, so that it would be a name of the shared library. */
#ifndef BASE_WIDE_H
#define BASE_WIDE_H

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) &&                        \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

#endif
