#include "backends/llvm/loader.h"

#include <sys/mman.h>

#include "backends/llvm/llvm_headers.h"

namespace lathe::codegen {
namespace {

// One reservation for code and constants, so that 32-bit relative addresses always reach; made
// executable, and no longer writable, once linked.
class OneBlock : public llvm::RuntimeDyld::MemoryManager {
 public:
  ~OneBlock() override {
    if (base_) munmap(base_, size_);
  }
  bool needsToReserveAllocationSpace() override { return true; }
  void reserveAllocationSpace(uintptr_t code, llvm::Align, uintptr_t constants, llvm::Align,
                              uintptr_t data, llvm::Align) override {
    // Each section may need up to a page of padding.
    size_ = round_up(code) + round_up(constants) + round_up(data) + 3 * kPage;
    void* block = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) fail("no memory for {} bytes of compiled kernels", size_);
    base_ = static_cast<uint8_t*>(block);
    code_ = base_;
    data_ = base_ + round_up(code) + kPage;
  }
  uint8_t* allocateCodeSection(uintptr_t size, unsigned alignment, unsigned,
                               llvm::StringRef) override {
    return take(code_, size, alignment, data_start());
  }
  uint8_t* allocateDataSection(uintptr_t size, unsigned alignment, unsigned, llvm::StringRef,
                               bool) override {
    if (!code_end_) code_end_ = data_;
    return take(data_, size, alignment, base_ + size_);
  }
  void registerEHFrames(uint8_t*, uint64_t, size_t) override {}
  void deregisterEHFrames() override {}
  bool finalizeMemory(std::string* error) override {
    const auto code = static_cast<size_t>(data_start() - base_);
    if (mprotect(base_, code, PROT_READ | PROT_EXEC) == 0) return false;
    if (error) *error = "cannot make compiled kernels executable";
    return true;
  }

 private:
  static constexpr size_t kPage = 4096;
  static size_t round_up(size_t n) { return (n + kPage - 1) / kPage * kPage; }
  uint8_t* data_start() const { return code_end_ ? code_end_ : data_; }
  static uint8_t* take(uint8_t*& from, size_t size, size_t alignment, const uint8_t* limit) {
    const auto at = (reinterpret_cast<uintptr_t>(from) + alignment - 1) / alignment * alignment;
    from = reinterpret_cast<uint8_t*>(at + size);
    LATHE_ASSERT(from <= limit, "sections larger than announced");
    return reinterpret_cast<uint8_t*>(at);
  }

  uint8_t *base_ = nullptr, *code_ = nullptr, *data_ = nullptr;
  uint8_t* code_end_ = nullptr;  // where data starts; null while none was taken
  size_t size_ = 0;
};

// Finds nothing: our objects have no undefined symbols.
class NoSymbols : public llvm::LegacyJITSymbolResolver {
 public:
  llvm::JITSymbol findSymbol(const std::string&) override { return nullptr; }
  llvm::JITSymbol findSymbolInLogicalDylib(const std::string&) override { return nullptr; }
};

struct Loaded {
  OneBlock memory;
  NoSymbols symbols;
  llvm::RuntimeDyld linker{memory, symbols};
};

}  // namespace

Result<LoadedObject> load_object(const std::string& object, std::span<const std::string> symbols) {
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "kernels"));
  if (!file) return failure("bad object: {}", llvm::toString(file.takeError()));
  auto loaded = std::make_shared<Loaded>();
  loaded->linker.loadObject(**file);
  loaded->linker.resolveRelocations();
  if (loaded->linker.hasError()) return failure("{}", loaded->linker.getErrorString().str());
  std::string error;
  if (loaded->memory.finalizeMemory(&error)) return failure("{}", error);
  LoadedObject out;
  for (const std::string& symbol : symbols) {
    const uint64_t address = loaded->linker.getSymbol(symbol).getAddress();
    if (address == 0) return failure("the object does not define {}", symbol);
    out.functions.push_back(reinterpret_cast<KernelFn>(address));
  }
  out.keep = std::move(loaded);
  return out;
}

}  // namespace lathe::codegen
