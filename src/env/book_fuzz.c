/* Any bytes as orders, cancellations and changes: a book is never crossed, torn or out of balance.
 * Four bytes an act: what and who, side and kind, price, lots. */
#include "env/book.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TICKS = 40, ORDERS = 20, OWNERS = 4, REFS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const book_config c = {
      .n_ticks = TICKS, .n_orders = ORDERS, .n_owners = OWNERS, .maker_fee = -5, .taker_fee = 11};
  book *b = aligned_alloc(64, book_bytes(&c));
  if (!b) return 0;
  book_init(b, &c);
  book_ref refs[REFS];
  for (int i = 0; i < REFS; i++) refs[i] = BOOK_NONE;
  int at = 0;
  for (; size >= 4; data += 4, size -= 4) {
    const int owner = data[0] >> 4 & 3, lots = 1 + data[3] % 12;
    const int32_t price = data[2] % (TICKS + 4) - 2; /* off the grid as well */
    const book_side side = data[1] & 1 ? BOOK_BUY : BOOK_SELL;
    const book_kind kind = (book_kind)((data[1] >> 1) % 3);
    book_ref *ref = refs + data[1] / 8 % REFS;
    switch (data[0] & 3) {
    case 0:
    case 1: refs[at++ % REFS] = book_submit(b, owner, side, kind, price, lots); break;
    case 2:
      if (data[1] & 4) book_take(b, owner, side, lots);
      else book_cancel(b, *ref);
      break;
    default: *ref = book_modify(b, *ref, kind, price, lots - 1); break;
    }
    const char *fault = book_fault(b);
    REQUIRE(!fault, "%s", fault);
  }
  free(b);
  return 0;
}
