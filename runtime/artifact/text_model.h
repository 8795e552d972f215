/* What a generated library with a text front end links: text to padded token ids.
   Plain C so that the generated driver can include its text. */
#ifndef LATHE_RUNTIME_ARTIFACT_TEXT_MODEL_H
#define LATHE_RUNTIME_ARTIFACT_TEXT_MODEL_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* `words`: one entry a line, in the order of ids, from id 2 (0 pads, 1 is any unknown word).
   Returns an opaque vocabulary that lives as long as the process, or NULL out of memory. */
const void* lathe_text_vocabulary(const char* words, size_t bytes);

/* Cleans, tokenises, looks up and pads UTF-8 `text` to `length` ids, as in training.
   Returns 0, or -1 out of memory. */
int lathe_text_encode(const void* vocabulary, const char* text, int32_t* tokens, int64_t length,
                      int pad_after, int cut_after);

#ifdef __cplusplus
}
#endif
#endif
