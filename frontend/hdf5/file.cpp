// liblathe_hdf5.so: all that touches the HDF5 library.

#include <hdf5.h>
#include <hdf5_hl.h>

#include <cstring>
#include <utility>

#include "frontend/keras/hdf5.h"
#include "runtime/json.h"
#include "runtime/tensor_bytes.h"

namespace lathe {
namespace {

constexpr size_t kMaxObjects = 100'000;
constexpr int kMaxDepth = 16;

class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

herr_t keep_first(unsigned n, const H5E_error2_t* error, void* out) {
  if (n == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
  return 0;
}

// The innermost entry of the library's error stack, which is the cause of the others.
std::string library_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  H5Eclear2(H5E_DEFAULT);
  return reason.empty() ? "" : fmt::format(" (HDF5: {})", reason);
}

struct Links {
  std::vector<std::pair<std::string, H5L_type_t>> found;
};

// A C callback: no exception may leave it.
herr_t add_link(hid_t, const char* name, const H5L_info_t* info, void* out) noexcept {
  auto& found = static_cast<Links*>(out)->found;
  if (found.size() >= kMaxObjects) return -1;
  found.emplace_back(name, info->type);
  return 0;
}

struct ElementType {
  DType dtype;
  hid_t memory;  // what H5Dread is asked to deliver; a library constant or the dataset's own type
};

struct KnownType {
  hid_t little, big;
  ElementType element;
};

bool is_f16(hid_t type) {
  const Handle f16(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  H5Tset_fields(f16, 15, 10, 5, 0, 10);  // sign; exponent and its width; mantissa and its width
  H5Tset_size(f16, 2);
  H5Tset_ebias(f16, 15);
  return H5Tequal(type, f16) > 0;
}

// h5py stores booleans as an enumeration of FALSE = 0 and TRUE = 1 over int8.
bool is_h5py_bool(hid_t type) {
  if (H5Tget_class(type) != H5T_ENUM || H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2)
    return false;
  int8_t false_value = -1;
  int8_t true_value = -1;
  return H5Tenum_valueof(type, "FALSE", &false_value) >= 0 &&
         H5Tenum_valueof(type, "TRUE", &true_value) >= 0 && false_value == 0 && true_value == 1;
}

std::optional<ElementType> element_type(hid_t type) {
  // The library's constants are expressions that are only valid once it is open.
  const KnownType known[] = {
      {H5T_IEEE_F64LE, H5T_IEEE_F64BE, {DType::f64, H5T_NATIVE_DOUBLE}},
      {H5T_IEEE_F32LE, H5T_IEEE_F32BE, {DType::f32, H5T_NATIVE_FLOAT}},
      {H5T_STD_I64LE, H5T_STD_I64BE, {DType::i64, H5T_NATIVE_INT64}},
      {H5T_STD_I32LE, H5T_STD_I32BE, {DType::i32, H5T_NATIVE_INT32}},
      {H5T_STD_I16LE, H5T_STD_I16BE, {DType::i16, H5T_NATIVE_INT16}},
      {H5T_STD_I8LE, H5T_STD_I8BE, {DType::i8, H5T_NATIVE_INT8}},
      {H5T_STD_U64LE, H5T_STD_U64BE, {DType::u64, H5T_NATIVE_UINT64}},
      {H5T_STD_U32LE, H5T_STD_U32BE, {DType::u32, H5T_NATIVE_UINT32}},
      {H5T_STD_U16LE, H5T_STD_U16BE, {DType::u16, H5T_NATIVE_UINT16}},
      {H5T_STD_U8LE, H5T_STD_U8BE, {DType::u8, H5T_NATIVE_UINT8}},
  };
  for (const KnownType& k : known)
    if (H5Tequal(type, k.little) > 0 || H5Tequal(type, k.big) > 0) return k.element;
  if (is_f16(type)) return ElementType{DType::f16, type};
  if (is_h5py_bool(type)) return ElementType{DType::boolean, type};
  // Keras writes bfloat16 through ml_dtypes, which h5py stores as two opaque bytes.
  if (H5Tget_class(type) == H5T_OPAQUE && H5Tget_size(type) == 2)
    return ElementType{DType::bf16, type};
  return std::nullopt;
}

// Why the dataset's storage is not to be read, or nothing. Data must be present in the file in
// proportion to what the dataset claims: a reader that trusts the claim can be made to allocate
// anything by a file of a few hundred bytes.
std::optional<std::string> storage_problem(hid_t dataset, uint64_t bytes, uint64_t file_bytes) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (creation < 0) return "its creation properties cannot be read";
  if (H5Pget_external_count(creation) != 0) return "its data lies in another file";
  const uint64_t stored = H5Dget_storage_size(dataset);
  if (stored > file_bytes) return fmt::format("it claims {} stored bytes", stored);
  switch (H5Pget_layout(creation)) {
    case H5D_COMPACT:
    case H5D_CONTIGUOUS:
      if (stored == bytes) return std::nullopt;
      return fmt::format("{} bytes are stored, its shape and type need {}", stored, bytes);
    case H5D_CHUNKED: {
      hsize_t chunk[H5S_MAX_RANK] = {};
      const int rank = H5Pget_chunk(creation, H5S_MAX_RANK, chunk);
      const Handle type(H5Dget_type(dataset), H5Tclose);
      double chunk_bytes = static_cast<double>(H5Tget_size(type));
      for (int i = 0; i < rank; ++i) chunk_bytes *= static_cast<double>(chunk[i]);
      constexpr double slack = 1 << 20;  // a chunk may be larger than a small dataset
      if (rank < 0 || chunk_bytes > 16 * static_cast<double>(bytes) + slack)
        return "its chunks are out of proportion to its size";
      constexpr uint64_t best_ratio = 1032;  // of deflate
      if (bytes <= stored * best_ratio) return std::nullopt;
      return fmt::format("{} bytes are stored, which cannot expand to the {} it needs", stored,
                         bytes);
    }
    default: return "its storage layout is neither contiguous nor chunked";
  }
}

std::optional<std::vector<std::string>> read_strings(hid_t attribute, hid_t type, size_t count,
                                                     size_t file_bytes) {
  std::vector<std::string> out;
  const size_t size = H5Tget_size(type);
  if (size == 0 || count > file_bytes / size) return std::nullopt;
  const Handle memory(H5Tcopy(type), H5Tclose);
  if (H5Tis_variable_str(type) <= 0) {
    std::vector<char> buffer(count * size);
    if (H5Aread(attribute, memory, buffer.data()) < 0) return std::nullopt;
    for (size_t i = 0; i < count; ++i)
      out.emplace_back(&buffer[i * size], strnlen(&buffer[i * size], size));
    return out;
  }
  std::vector<char*> pointers(count, nullptr);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  const bool ok = H5Aread(attribute, memory, pointers.data()) >= 0;
  for (const char* p : pointers) out.emplace_back(ok && p != nullptr ? p : "");
  H5Dvlen_reclaim(memory, space, H5P_DEFAULT, pointers.data());
  if (!ok) return std::nullopt;
  return out;
}

std::string join(const std::string& group, const std::string& name) {
  return fmt::format("{}/{}", group == "/" ? "" : group, name);
}

// The library's state: the open file, its error printing switched off.
struct Session {
  Session() {
    H5Eget_auto2(H5E_DEFAULT, &old_handler, &old_data);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (file >= 0) H5Fclose(file);
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, old_handler, old_data);
  }

  hid_t file = -1;
  H5E_auto2_t old_handler = nullptr;
  void* old_data = nullptr;
};

class File : public Hdf5File {
 public:
  File(std::span<const std::byte> bytes, std::string place, uint64_t max_total_bytes);

  const std::set<std::string>& groups() const override { return groups_; }
  const std::set<std::string>& datasets() const override { return datasets_; }
  Tensor read(const std::string& path) override;
  std::optional<std::vector<std::string>> strings(const std::string& group,
                                                  const std::string& attribute) const override;
  std::optional<std::string> string(const std::string& group,
                                    const std::string& attribute) const override;

 private:
  void collect(const std::string& group, int depth);
  void add_object(const std::string& path, int depth);
  [[noreturn]] void refuse(const std::string& object, const std::string& problem) const;

  std::span<const std::byte> bytes_;
  std::string place_;
  uint64_t budget_;
  Session session_;
  std::set<std::string> groups_;
  std::set<std::string> datasets_;
};

File::File(std::span<const std::byte> bytes, std::string place, uint64_t max_total_bytes)
    : bytes_(bytes), place_(std::move(place)), budget_(max_total_bytes) {
  // Borrowed, not copied: the library only reads an image that is not opened for writing.
  constexpr unsigned flags = H5LT_FILE_IMAGE_DONT_COPY | H5LT_FILE_IMAGE_DONT_RELEASE;
  if (!bytes.empty())
    session_.file = H5LTopen_file_image(const_cast<std::byte*>(bytes.data()), bytes.size(), flags);
  if (session_.file < 0) fail("{}: not an HDF5 file, or damaged{}", place_, library_reason());
  collect("/", 0);
}

void File::refuse(const std::string& object, const std::string& problem) const {
  fail("{}: HDF5 object {}: {}{}", place_, quote_text(object), problem, library_reason());
}

void File::collect(const std::string& group, int depth) {
  if (depth > kMaxDepth)
    refuse(group, fmt::format("groups are nested deeper than {} levels", kMaxDepth));
  groups_.insert(group);
  Links links;
  {
    const Handle id(H5Gopen2(session_.file, group.c_str(), H5P_DEFAULT), H5Gclose);
    if (id < 0 || H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, nullptr, add_link, &links) < 0)
      refuse(group, "its members cannot be listed");
  }
  for (const auto& [name, type] : links.found) {
    const std::string path = join(group, name);
    if (type != H5L_TYPE_HARD) refuse(path, "only hard links are followed, this is another kind");
    if (name.empty() || name == "." || name.find('/') != std::string::npos)
      refuse(path, "not a valid link name");
    add_object(path, depth);
  }
}

void File::add_object(const std::string& path, int depth) {
  if (groups_.size() + datasets_.size() >= kMaxObjects)
    refuse(path, fmt::format("the file has more than {} objects", kMaxObjects));
  H5I_type_t kind = H5I_BADID;
  {
    const Handle object(H5Oopen(session_.file, path.c_str(), H5P_DEFAULT), H5Oclose);
    if (object < 0) refuse(path, "it cannot be opened");
    kind = H5Iget_type(object);
  }
  if (kind == H5I_DATASET) datasets_.insert(path);
  else if (kind == H5I_GROUP) collect(path, depth + 1);
}

Tensor File::read(const std::string& path) {
  LATHE_ASSERT(datasets_.contains(path), "{}", path);
  const Handle dataset(H5Dopen2(session_.file, path.c_str(), H5P_DEFAULT), H5Dclose);
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  if (dataset < 0 || type < 0 || space < 0) refuse(path, "the dataset cannot be opened");
  const auto element = element_type(type);
  if (!element)
    fail_unsupported(
        "{}: HDF5 dataset {}: its element type is not supported; numbers of 8 to 64 "
        "bits or booleans were expected",
        place_, quote_text(path));
  hsize_t extent[H5S_MAX_RANK] = {};
  const int rank = H5Sget_simple_extent_dims(space, extent, nullptr);
  if (rank < 0 || H5Sget_simple_extent_type(space) == H5S_NULL)
    refuse(path, "it has no shape; an array was expected");
  const std::string place = fmt::format("{}: HDF5 dataset {}", place_, quote_text(path));
  const Dims dims(extent, extent + rank);
  const auto bytes = static_cast<uint64_t>(checked_bytes(element->dtype, dims, place));
  if (bytes == 0) return Tensor::empty(element->dtype, dims);
  if (const auto problem = storage_problem(dataset, bytes, bytes_.size())) refuse(path, *problem);
  if (bytes > budget_)
    fail("{}: its {} bytes exceed what is left of the file's memory budget, {}", place, bytes,
         budget_);
  budget_ -= bytes;
  Tensor tensor = Tensor::empty(element->dtype, dims);
  if (H5Dread(dataset, element->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.mutable_raw()) < 0)
    refuse(path, "its data cannot be read");
  if (element->dtype == DType::boolean)
    check_bools({static_cast<const std::byte*>(tensor.raw()), static_cast<size_t>(bytes)}, place);
  return tensor;
}

std::optional<std::vector<std::string>> File::strings(const std::string& group,
                                                      const std::string& attribute) const {
  LATHE_ASSERT(groups_.contains(group), "{}", group);
  const std::string object = group + " @" + attribute;
  const htri_t exists =
      H5Aexists_by_name(session_.file, group.c_str(), attribute.c_str(), H5P_DEFAULT);
  if (exists < 0) refuse(object, "its attributes cannot be read");
  if (exists == 0) return std::nullopt;
  const Handle id(
      H5Aopen_by_name(session_.file, group.c_str(), attribute.c_str(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  const Handle type(H5Aget_type(id), H5Tclose);
  const Handle space(H5Aget_space(id), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (id < 0 || type < 0 || count < 0) refuse(object, "the attribute cannot be opened");
  // h5py writes an empty list as an array of numbers.
  if (count == 0) return std::vector<std::string>{};
  if (H5Tget_class(type) != H5T_STRING) refuse(object, "strings were expected");
  auto out = read_strings(id, type, static_cast<size_t>(count), bytes_.size());
  if (!out) refuse(object, "the strings cannot be read");
  return out;
}

std::optional<std::string> File::string(const std::string& group,
                                        const std::string& attribute) const {
  auto list = strings(group, attribute);
  if (!list) return std::nullopt;
  if (list->size() != 1)
    refuse(group + " @" + attribute, fmt::format("{} strings, one was expected", list->size()));
  return std::move(list->front());
}

std::unique_ptr<Hdf5File> open_file(std::span<const std::byte> bytes, std::string place,
                                    uint64_t max_total_bytes) {
  return std::make_unique<File>(bytes, std::move(place), max_total_bytes);
}

}  // namespace
}  // namespace lathe

extern "C" __attribute__((visibility("default"))) const lathe::OpenHdf5 lathe_hdf5_1 =
    lathe::open_file;
