/* One frame of book_replay: the last steps of the tape, fills, and what rests now. */
#include "env/book_draw.h"
#include "env/book_replay.h"

#include <stdio.h>

void book_replay_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                      void *context) {
  const book_replay_model *m = e->model;
  const book_replay_world *w = env_world(e, i);
  int32_t path[BOOK_REPLAY_PATH][2];
  const int n_path = w->step + 1 < BOOK_REPLAY_PATH ? w->step + 1 : BOOK_REPLAY_PATH;
  for (int k = 0; k < n_path; k++) {
    const size_t row = w->row - (size_t)(n_path - 1 - k) * (size_t)m->config.rows;
    path[k][0] = book_replay_price(m, row, 1, 0);
    path[k][1] = book_replay_price(m, row, 0, 0);
  }
  book_picture_fill fills[BOOK_REPLAY_MARKS];
  const int n_fills = w->n_marks < BOOK_REPLAY_MARKS ? w->n_marks : BOOK_REPLAY_MARKS;
  for (int k = 0; k < n_fills; k++) {
    const book_replay_mark *mark = w->marks + (w->n_marks - n_fills + k) % BOOK_REPLAY_MARKS;
    fills[k] =
        (book_picture_fill){.age = w->step - mark->step, .price = mark->price, .lots = mark->lots};
  }
  book_picture_level levels[2 * BOOK_REPLAY_MAX_LEVELS + 2];
  int n = 0;
  for (int side = 0; side < 2; side++) {
    const book_replay_quote *q = w->quote + side;
    bool own_shown = q->lots == 0;
    for (int k = 0; k < m->tape->n_levels; k++) {
      const int32_t price = book_replay_price(m, w->row, side, k);
      if (price < 0) break;
      const bool own = !own_shown && price == q->price;
      own_shown |= own;
      levels[n++] = (book_picture_level){.price = price,
                                         .lots = book_replay_lots(m, w->row, side, k),
                                         .own = own ? q->lots : 0,
                                         .side = side ? 1 : -1};
    }
    if (!own_shown) /* before the best, or deeper than what is seen */
      levels[n++] = (book_picture_level){.price = q->price, .own = q->lots, .side = side ? 1 : -1};
  }
  char caption[160];
  snprintf(caption, sizeof caption, "step %d of %d: position %lld, wealth %.1f ticks", w->step,
           m->config.steps, (long long)book_position(&w->account),
           (double)book_replay_wealth(m, w) / BOOK_TICK);
  book_draw(&(book_picture){.path = (const int32_t(*)[2])path,
                            .n_path = n_path,
                            .levels = levels,
                            .n_levels = n,
                            .fills = fills,
                            .n_fills = n_fills,
                            .caption = caption},
            text, context);
}
