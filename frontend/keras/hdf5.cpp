#include "frontend/keras/hdf5.h"

#include "runtime/module.h"

namespace lathe {

std::unique_ptr<Hdf5File> open_hdf5(std::span<const std::byte> bytes, std::string place,
                                    uint64_t max_total_bytes) {
  static const Result<const void*> module =
      module_symbol(module_places("liblathe_hdf5.so"), kHdf5Symbol);
  if (!module) fail("{}: HDF5 files need liblathe_hdf5.so: {}", place, module.error());
  const auto open = *static_cast<const OpenHdf5*>(*module);
  return open(bytes, std::move(place), max_total_bytes);
}

}  // namespace lathe
