/* One frame of order_book: the last steps and what rests now. */
#include "env/book_draw.h"
#include "env/order_book.h"

#include <stdio.h>

enum { AROUND = 10 }; /* ticks shown beyond the best prices */

static int add_levels(book_picture_level *out, const order_book_model *m,
                      const order_book_world *w) {
  const book *b = order_book_book(m, w);
  const book_order *orders = book_orders(b);
  int n = 0;
  for (int32_t p = b->last_bid - AROUND; p <= b->last_ask + AROUND && n < 4 * AROUND; p++) {
    if (p < 0 || p >= b->config.n_ticks || book_levels(b)[p].head < 0) continue;
    int64_t own = 0;
    for (int32_t s = book_levels(b)[p].head; s >= 0; s = orders[s].next)
      own += orders[s].owner == BOOK_CROWD ? 0 : orders[s].lots;
    out[n++] = (book_picture_level){.price = p,
                                    .lots = book_levels(b)[p].lots,
                                    .own = own,
                                    .side = orders[book_levels(b)[p].head].side};
  }
  return n;
}

void order_book_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                     void *context) {
  const order_book_model *m = e->model;
  const order_book_world *w = order_book_world_of(e, i);
  int32_t path[ORDER_BOOK_PATH][2];
  const int n_path = w->step + 1 < ORDER_BOOK_PATH ? w->step + 1 : ORDER_BOOK_PATH;
  for (int k = 0; k < n_path; k++)
    for (int side = 0; side < 2; side++)
      path[k][side] = w->path[(w->step - n_path + 1 + k) % ORDER_BOOK_PATH][side];
  book_picture_fill fills[ORDER_BOOK_MARKS];
  const int n_fills = w->n_marks < ORDER_BOOK_MARKS ? w->n_marks : ORDER_BOOK_MARKS;
  for (int k = 0; k < n_fills; k++) {
    const order_book_mark *mark = w->marks + (w->n_marks - n_fills + k) % ORDER_BOOK_MARKS;
    fills[k] = (book_picture_fill){.age = w->step - mark->step,
                                   .agent = mark->agent,
                                   .price = (double)mark->price,
                                   .lots = mark->lots};
  }
  book_picture_level levels[4 * AROUND];
  char caption[160];
  const book_account *a = book_accounts(order_book_book(m, w)) + 1;
  snprintf(caption, sizeof caption, "step %d of %d, %s: position %lld, wealth %.1f ticks", w->step,
           m->config.steps, m->agent_names[0], (long long)book_position(a),
           (double)order_book_wealth(m, w, 0) / BOOK_TICK);
  book_draw(&(book_picture){.path = (const int32_t(*)[2])path,
                            .n_path = n_path,
                            .levels = levels,
                            .n_levels = add_levels(levels, m, w),
                            .fills = fills,
                            .n_fills = n_fills,
                            .caption = caption},
            text, context);
}
