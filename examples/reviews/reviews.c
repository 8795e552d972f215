/* Asks the compiled review classifier. Build after ./quickstart:
     cc examples/reviews/reviews.c -Iquickstart-run -o reviews quickstart-run/reviews.so
     ./reviews 我喜欢编程 "A waste of time and money." */
#include "reviews.h"

#include <stdio.h>

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s TEXT...\n", argv[0]);
    return 2;
  }
  for (int i = 1; i < argc; ++i) {
    float positive = 0; /* the probability that the review is a good one */
    if (reviews_predict(argv[i], &positive) != 0) {
      fprintf(stderr, "%s: out of memory\n", argv[0]);
      return 1;
    }
    printf("%.4f  %s  %s\n", positive, positive >= 0.5f ? "positive" : "negative", argv[i]);
  }
  return 0;
}
