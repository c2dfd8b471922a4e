/* Inner loops compiled for wider registers as well, the best one chosen when the program starts.
 * Only for loops whose result does not depend on the width: integers, or floats element by element
 * (nothing is contracted): the same bits on every processor. */
#ifndef TREE_WIDE_H
#define TREE_WIDE_H

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) &&                        \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

#endif
