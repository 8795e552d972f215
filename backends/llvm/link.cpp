#include "backends/llvm/link.h"

#include <cstring>
#include <map>

#include "backends/llvm/llvm_headers.h"

namespace lathe::codegen {
namespace {

namespace elf = llvm::ELF;
using llvm::object::ELFObjectFileBase;
using llvm::object::ELFSectionRef;
using llvm::object::SectionRef;

template <class T>
T checked(llvm::Expected<T> value) {
  if (!value) fail("{}", llvm::toString(value.takeError()));
  return std::move(*value);
}

// The parts of the object that are loaded, by section, at their offsets.
class Layout {
 public:
  // Code first, then from the next page on what it reads. Unwinding tables are left out: kernels do
  // not throw.
  void place(const ELFObjectFileBase& file) {
    for (const bool code : {true, false}) {
      for (const SectionRef section : file.sections()) {
        const uint64_t flags = ELFSectionRef(section).getFlags();
        if (!(flags & elf::SHF_ALLOC) || ((flags & elf::SHF_EXECINSTR) != 0) != code) continue;
        if (ELFSectionRef(section).getType() == elf::SHT_X86_64_UNWIND) continue;
        const llvm::StringRef name = checked(section.getName());
        if (name == ".eh_frame" || section.getSize() == 0) continue;
        // Zeros without contents are read only (Emitter::filler), whatever their section says.
        const bool zeros = section.isBSS();
        if ((flags & elf::SHF_WRITE) && !zeros) fail("the section {} is writable", name.str());
        pad(section.getAlignment().value());
        offsets_[section.getIndex()] = out.bytes.size();
        if (zeros) out.bytes.resize(out.bytes.size() + section.getSize());
        else out.bytes += checked(section.getContents()).str();
      }
      if (code) {
        pad(kCodePage);
        out.code_bytes = out.bytes.size();
      }
    }
  }

  uint64_t address(const llvm::object::SymbolRef& symbol) const {
    const auto section = checked(symbol.getSection());
    const auto at = offsets_.find(section->getIndex());
    if (at == offsets_.end()) fail("a symbol is defined outside the loaded sections");
    return at->second + checked(symbol.getValue());
  }

  void relocate(const ELFObjectFileBase& file) {
    for (const SectionRef section : file.sections()) {
      const auto target = checked(section.getRelocatedSection());
      if (target == file.section_end()) continue;
      const auto base = offsets_.find(target->getIndex());
      if (base == offsets_.end()) continue;
      for (const llvm::object::ELFRelocationRef relocation : section.relocations()) {
        const uint64_t type = relocation.getType();
        if (type != elf::R_X86_64_PC32 && type != elf::R_X86_64_PLT32)
          fail("relocation type {} depends on where the code is", type);
        if (relocation.getSymbol() == file.symbol_end()) fail("a relocation has no symbol");
        const uint64_t place = base->second + relocation.getOffset();
        const int64_t value = static_cast<int64_t>(address(*relocation.getSymbol()) - place) +
                              checked(relocation.getAddend());
        const auto stored = static_cast<int32_t>(value);
        if (stored != value || place + sizeof stored > out.bytes.size())
          fail("a relocation is out of range");
        std::memcpy(out.bytes.data() + place, &stored, sizeof stored);
      }
    }
  }

  KernelCode out;

 private:
  void pad(uint64_t alignment) {
    out.bytes.resize((out.bytes.size() + alignment - 1) / alignment * alignment);
  }

  std::map<uint64_t, uint64_t> offsets_;  // by section index
};

}  // namespace

KernelCode link_object(const std::string& object, const std::string& symbol) {
  const auto file = checked(
      llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(object, "kernel")));
  const auto& elf_file = llvm::cast<ELFObjectFileBase>(*file);
  if (elf_file.getEMachine() != elf::EM_X86_64) fail("the object is not for x86-64");
  Layout layout;
  layout.place(elf_file);
  layout.relocate(elf_file);
  for (const llvm::object::SymbolRef defined : elf_file.symbols()) {
    if (checked(defined.getName()) != symbol) continue;
    layout.out.entry = layout.address(defined);
    return std::move(layout.out);
  }
  fail("the object does not define {}", symbol);
}

}  // namespace lathe::codegen
