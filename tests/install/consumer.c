/* The smallest host: finds the installed headers and library, and sees one version in both. */
#include <garam/garam.h>

#include <stdio.h>
#include <string.h>

int main(void) {
  printf("garam %s\n", garam_version());
  return strcmp(garam_version(), GARAM_VERSION) != 0;
}
