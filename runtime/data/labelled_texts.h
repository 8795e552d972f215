// Texts with a label each, from a table or from folders.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/data/table.h"

namespace lathe::data {

struct LabelledText {
  std::string text;   // as in the file
  std::string label;  // without surrounding blanks
  std::string place;  // "train.tsv:17", or the file's path
};

struct LabelledTexts {
  std::string path;
  std::vector<LabelledText> examples;
  int64_t replaced = 0;  // bytes that were not valid UTF-8 and became U+FFFD
};

// Which half of a folder that holds train/ and test/.
enum class Split { Train, Test };

// A table (see table.h), or a folder in the layout of aclImdb: DIR/pos/*.txt and DIR/neg/*.txt, or
// those below DIR/train and DIR/test, from which `split` chooses. Any two or more folders of .txt
// files will do, each named by its label; `unsup` is skipped. Order: folders, then files, by
// bytewise name.
LabelledTexts read_labelled_texts(const std::string& path, Split split = Split::Train);

// Chooses the columns and takes off the header. In this order:
// 1. A first row that names columns is a header (any case): text, review, sentence, content,
//    comment; label, sentiment, class, target, polarity. It may have further columns, which are
//    ignored. If it names one of two columns, the other is the other.
// 2. Without such names there must be two columns. The label is the one whose values are all
//    numbers or words of polarity (see labels.h), else the one with fewer distinct values.
// 3. If all labels are numbers except in the first row, the first row is a header.
// Errors name file:line: other than two columns without names, columns that cannot be told apart,
// a header without rows.
LabelledTexts label_columns(Table table);

}  // namespace lathe::data
