/* What every report has: the beginning of the page with its style, and folded tables of whatever an
 * object holds. */
#include "report/page.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* In parts: C promises no more than 4095 characters in one string. */
static const char style_page[] =
    ":root{--paper:#fdfdfb;--ink:#1b1f24;--soft:#5c6570;--hair:#e4e4de;--panel:#f5f5f0;"
    "--river:#0b6e8f;--clay:#c0612b;--stone:#9aa1a8;--good:#1f7a4d;--bad:#a8322a;"
    "color-scheme:light dark}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e8e6e1;--soft:#9aa3ac;"
    "--hair:#2b3036;--panel:#1b1f23;--river:#58b6d6;--clay:#e69a63;--stone:#6e767e;--good:#6cc79a;"
    "--bad:#ec8a80}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 ui-sans-serif,system-ui,"
    "-apple-system,\"Segoe UI\",\"Noto Sans\",\"Apple SD Gothic Neo\",\"Noto Sans KR\",sans-serif;"
    "font-variant-numeric:tabular-nums lining-nums;-webkit-text-size-adjust:100%}\n"
    "main{max-width:920px;margin:0 auto;padding:56px 20px 80px}\n"
    "h1{font-size:30px;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0 0 6px}\n"
    "h2{font-size:18px;font-weight:650;letter-spacing:-.005em;margin:48px 0 12px}\n"
    ".eyebrow{color:var(--soft);font-size:14px;margin:0 0 10px}\n"
    ".lead{color:var(--soft);margin:0}\n"
    ".verdict{margin:28px 0 0;padding:14px 18px;background:var(--panel);border-left:4px solid "
    "var(--stone);border-radius:0 6px 6px 0}\n"
    ".verdict p{margin:0}.verdict p+p{margin-top:8px}\n"
    ".verdict.better{border-color:var(--good)}.verdict.worse{border-color:var(--bad)}\n"
    ".warning{color:var(--bad)}.warning::before{content:\"Warning: \";font-weight:650}\n"
    ".scroll{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%;font-size:15px}\n"
    "th{font-weight:500;color:var(--soft);font-size:13px;text-align:right;white-space:nowrap}\n"
    "td{text-align:right;white-space:nowrap}\n"
    "th,td{padding:7px 0 7px 22px;border-bottom:1px solid var(--hair)}\n"
    "th:first-child,td:first-child{text-align:left;padding-left:0}\n"
    "tr.ours td{font-weight:650}tr.ours td:first-child{color:var(--river)}\n"
    "td small{font-weight:400;color:var(--soft);font-size:13px}\n";
static const char style_charts[] =
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(180px,1fr));gap:18px 24px;"
    "margin:20px 0 0}\n"
    "dl div{border-top:1px solid var(--hair);padding-top:8px}\n"
    "dt{color:var(--soft);font-size:13px}dd{margin:0;font-size:20px;font-weight:600;"
    "letter-spacing:-.01em}dd small{display:block;color:var(--soft);font-size:13px;font-weight:400;"
    "letter-spacing:0;line-height:1.35}\n"
    ".charts{display:grid;grid-template-columns:1fr 1fr;gap:36px 40px}\n"
    "figure{margin:0;min-width:0}figure.wide{grid-column:1/-1}\n"
    "figcaption{font-size:14px;margin:0 0 6px}figcaption b{font-weight:650;margin-right:14px}\n"
    "figcaption span{color:var(--soft);font-size:13px;margin-right:12px;white-space:nowrap}\n"
    "figcaption i{display:inline-block;width:14px;height:3px;border-radius:2px;margin:0 5px 3px 0;"
    "vertical-align:middle}\n"
    "i.s0{background:var(--stone)}i.s1{background:var(--river)}i.s2{background:var(--clay)}"
    "i.s3{background:var(--bad)}.rule.s3{stroke:var(--bad)}\n"
    "svg{display:block;width:100%;height:auto;overflow:visible;font:12px ui-sans-serif,system-ui,"
    "sans-serif}\n"
    "svg text{fill:var(--soft);font-variant-numeric:tabular-nums}.end{text-anchor:end}"
    ".middle{text-anchor:middle}\n"
    ".grid{stroke:var(--hair)}.axis{stroke:var(--stone)}\n"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n"
    ".line.s0,.rule.s0{stroke:var(--stone)}.line.s1{stroke:var(--river)}.line.s2{stroke:var(--clay)"
    "}"
    "\n.dashed{stroke-dasharray:4 4}.line.dashed{stroke-width:1.2}\n"
    ".dot{fill-opacity:.32;stroke-width:1.5}.dot.s1{fill:var(--river);stroke:var(--river)}\n"
    ".line.thin{stroke-width:.8;stroke-opacity:.45}.band{stroke:none;fill-opacity:.16}"
    ".band.s1{fill:var(--river)}.band.s2{fill:var(--clay)}.band.s3{fill:var(--bad)}"
    ".band.s4{fill:var(--good)}.band.s0{fill:var(--stone)}.line.s3{stroke:var(--bad)}"
    ".line.s4{stroke:var(--good)}i.s4{background:var(--good)}.dot.s2{fill:var(--clay);"
    "stroke:var(--clay)}\n"
    ".frames{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:18px}"
    ".frames svg{border:1px solid var(--hair);border-radius:4px}\n"
    ".cell.s1{fill:var(--river)}.cell.s2{fill:var(--clay)}\n"
    "svg text.cell-n{fill:var(--ink);font-size:15px;font-weight:600;text-anchor:middle}\n"
    "svg text.cell-count{fill:var(--ink);fill-opacity:.75;text-anchor:middle}\n"
    ".note{color:var(--soft);font-size:13px;line-height:1.45;margin:6px 0 0}\n"
    "details{border-top:1px solid var(--hair);padding:10px "
    "0}details:last-of-type{border-bottom:1px "
    "solid var(--hair)}summary{cursor:pointer;font-size:15px}\n"
    "details table{font-size:13px;margin:8px 0}details th,details td{padding:3px 0 3px 22px;"
    "text-align:left;white-space:normal;overflow-wrap:anywhere}details td:first-child{white-space:"
    "nowrap;color:var(--soft);width:1%}\n"
    "code,pre{font:13px/1.5 ui-monospace,\"SF Mono\",Menlo,Consolas,monospace}\n"
    "pre{background:var(--panel);padding:12px 16px;border-radius:6px;overflow-x:auto;margin:0 0 "
    "16px}\n"
    ".kv{display:grid;grid-template-columns:max-content 1fr;gap:4px 22px;font-size:14px;margin:0 0 "
    "16px}.kv span{color:var(--soft)}.kv code{overflow-wrap:anywhere}\n"
    "footer{margin-top:40px;color:var(--soft);font-size:13px}\n"
    "@media(max-width:680px){.charts{grid-template-columns:1fr}main{padding-top:28px}}\n"
    "@media print{details{display:none}main{padding:0}}\n";

void page_open(page *p) {
  page_put(p, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
}

void page_body(page *p) {
  page_put(p, " · garam</title>\n<style>\n");
  page_put(p, style_page);
  page_put(p, style_charts);
  page_put(p, "</style>\n</head>\n<body>\n<main>\n");
}

static void put_json_value(page *p, const json_t *value) {
  if (json_is_string(value)) {
    page_text(p, json_string_value(value));
    return;
  }
  if (json_is_real(value)) {
    double number = json_real_value(value);
    char text[PAGE_NUMBER];
    for (int digits = 6; digits <= 17; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, number);
      double again = 0;
      if (sscanf(text, "%lf", &again) == 1 && !(again < number) && !(again > number)) break;
    }
    page_text(p, text);
    return;
  }
  char *text = json_text(value);
  if (!text) p->failed = true;
  else if (strlen(text) <= 4000) page_text(p, text);
  else
    page_printf(p, "(%zu values)",
                json_is_array(value) ? json_array_size(value) : json_object_size(value));
  mem_free(text);
}

/* Rows of a table; an object within an object gives rows named "outer.inner". */
static void put_rows(page *p, const json_t *object, const char *prefix) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    if (json_is_object(value)) {
      char *inner = mem_format("%s%s.", prefix, key);
      if (inner) put_rows(p, value, inner);
      else p->failed = true;
      mem_free(inner);
      continue;
    }
    page_put(p, "<tr><td>");
    page_text(p, prefix);
    page_text(p, key);
    page_put(p, "</td><td>");
    put_json_value(p, value);
    page_put(p, "</td></tr>\n");
  }
}

void page_section(page *p, const char *title, const json_t *object) {
  if (json_object_size(object) == 0) return;
  page_put(p, "<details><summary>");
  page_text(p, title);
  page_put(p, "</summary><table><tbody>\n");
  put_rows(p, object, "");
  page_put(p, "</tbody></table></details>\n");
}
