/* The picture of an order book: best bid and ask over the last steps with one's fills, and beside
 * it, on the same scale of prices, what rests now. Within 0 0 400 300. */
#ifndef ENV_BOOK_DRAW_H
#define ENV_BOOK_DRAW_H

#include <stddef.h>
#include <stdint.h>

typedef void (*book_text)(void *context, const char *svg);

typedef struct book_picture_level {
  int32_t price;
  int64_t lots, own; /* own: of those lots, or beside them */
  int side;          /* 1: bids, -1: asks */
} book_picture_level;

typedef struct book_picture_fill {
  int age; /* steps before the last of the path */
  int agent;
  double price;
  int64_t lots; /* > 0: bought */
} book_picture_fill;

typedef struct book_picture {
  const int32_t (*path)[2]; /* (n_path) best bid and ask, oldest first; a side of -1: none */
  int n_path, n_levels, n_fills;
  const book_picture_level *levels;
  const book_picture_fill *fills;
  const char *caption;
} book_picture;

void book_draw(const book_picture *p, book_text text, void *context);

#endif
