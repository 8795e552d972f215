// Ahead of time: a program becomes a shared library with a C header, or one of its parts.
//
// The library has one call, `int NAME_run(inputs.., outputs.., void* workspace)`, with the weights
// inside and no dependency but libc and libm. With a text front end it also has
// `int NAME_predict(const char* text, float* result)`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

enum class LibraryKind : uint8_t { SharedLibrary, Object, Header, Llvm, Assembly };

// How a text becomes the program's one input, i32[1, length].
struct TextFrontEnd {
  std::vector<std::string> words;  // from id 2
  int64_t length = 0;
  bool pad_after = false, cut_after = false;
};

struct LibraryOptions {
  std::string name;  // a C identifier; prefixes every symbol
  LibraryKind kind = LibraryKind::SharedLibrary;
  Target target;
  std::string triple = "";  // of LlvmBackend::find_cpu; empty: x86-64 Linux
  // Compiles and links C for the triple: "cc", or a cross compiler.
  std::string compiler = "cc";
  std::string comment;               // of the header: where it came from
  std::optional<TextFrontEnd> text;  // for this machine's architecture only
};

// `text` limited to what a C identifier may hold, for names made of file names.
std::string c_identifier(std::string_view text);

// Writes `path` atomically; SharedLibrary and Object also write the header beside it (`path` with
// .h). Both need a C compiler, with a text front end `c++`, to assemble and link; its absence or
// failure is a user error with its output. An object with a text front end needs libstdc++ where it
// is linked. No update outputs: freeze the model first.
void write_library(const Program& p, const LibraryOptions& options, const std::string& path);

// The C header's text.
std::string library_header(const Program& p, const LibraryOptions& options);

}  // namespace lathe
