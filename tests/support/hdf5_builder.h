// Writes small HDF5 files for tests, well-formed and otherwise.
#pragma once

#include <doctest/doctest.h>
#include <hdf5.h>

#include <string>
#include <vector>

namespace lathe {

class Hdf5Builder {
 public:
  explicit Hdf5Builder(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)),
        intermediate_(H5Pcreate(H5P_LINK_CREATE)) {
    REQUIRE(file_ >= 0);
    H5Pset_create_intermediate_group(intermediate_, 1);
  }
  Hdf5Builder(const Hdf5Builder&) = delete;
  Hdf5Builder& operator=(const Hdf5Builder&) = delete;
  ~Hdf5Builder() {
    H5Pclose(intermediate_);
    H5Fclose(file_);
  }

  hid_t file() const { return file_; }

  void group(const std::string& path) {
    H5Gclose(H5Gcreate2(file_, path.c_str(), intermediate_, H5P_DEFAULT, H5P_DEFAULT));
  }

  void link_outside(const std::string& path) {
    REQUIRE(H5Lcreate_external("other.h5", "/", file_, path.c_str(), intermediate_, H5P_DEFAULT) >=
            0);
  }
  void link_to(const std::string& target, const std::string& path) {
    REQUIRE(H5Lcreate_hard(file_, target.c_str(), file_, path.c_str(), intermediate_,
                           H5P_DEFAULT) >= 0);
  }

  // Without data where `values` is empty. `memory` is the type of the values.
  void dataset(const std::string& path, hid_t type, const std::vector<hsize_t>& dims,
               const std::vector<float>& values, hid_t creation = H5P_DEFAULT) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t id =
        H5Dcreate2(file_, path.c_str(), type, space, intermediate_, creation, H5P_DEFAULT);
    REQUIRE(id >= 0);
    if (!values.empty())
      REQUIRE(H5Dwrite(id, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
    H5Dclose(id);
    H5Sclose(space);
  }
  void dataset(const std::string& path, const std::vector<float>& values) {
    dataset(path, H5T_IEEE_F32LE, {values.size()}, values);
  }

  void strings(const std::string& path, const std::string& name,
               const std::vector<std::string>& values) {
    std::vector<const char*> pointers;
    for (const std::string& v : values) pointers.push_back(v.c_str());
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    const hsize_t count = values.size();
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    attribute(path, name, type, space, pointers.data());
    H5Sclose(space);
    H5Tclose(type);
  }

  void number(const std::string& path, const std::string& name, int value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    attribute(path, name, H5T_NATIVE_INT, space, &value);
    H5Sclose(space);
  }

 private:
  void attribute(const std::string& path, const std::string& name, hid_t type, hid_t space,
                 const void* values) {
    const hid_t id = H5Acreate_by_name(file_, path.c_str(), name.c_str(), type, space, H5P_DEFAULT,
                                       H5P_DEFAULT, H5P_DEFAULT);
    REQUIRE(H5Awrite(id, type, values) >= 0);
    H5Aclose(id);
  }

  hid_t file_;
  hid_t intermediate_;
};

}  // namespace lathe
