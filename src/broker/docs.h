/* References printed from the tables, as Markdown: `odradek docs NAME` and the files
   docs/NAME.md. */
#pragma once

/* config, apis, errors, metrics, messages or properties (an example of a configuration file); -1:
   no such reference. */
int docs_print(const char *reference);
/* The configuration keys that do something, for `odradek serve --help`. */
void docs_print_keys(void);
