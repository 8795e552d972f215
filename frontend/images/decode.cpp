// liblathe_images.so: all that touches the libraries of image formats.

// clang-format off: jpeglib.h needs cstdio before it
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include <openjpeg.h>
#include <png.h>
#include <tiffio.h>
#include <webp/decode.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <string_view>

#include "frontend/onnx/image_file.h"
#include "ir/base/error.h"

namespace lathe::onnx {
namespace {

using Bytes = std::span<const uint8_t>;

// An image to be filled.
Image blank(int64_t width, int64_t height) {
  constexpr int64_t kMost = int64_t{1} << 26;
  if (width < 1 || height < 1 || width > kMost || height > kMost / width)
    fail("an image of {} x {} pixels", width, height);
  return {height, width, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
}

void put(Image& image, int64_t pixel, uint8_t r, uint8_t g, uint8_t b) {
  uint8_t* to = image.rgb.data() + 3 * pixel;
  to[0] = r, to[1] = g, to[2] = b;
}

template <class T, void (*free)(T*)>
struct Free {
  void operator()(T* p) const { free(p); }
};
template <class T, void (*free)(T*)>
using Owned = std::unique_ptr<T, Free<T, free>>;

// --- BMP -----------------------------------------------------------------------------------------

// A little-endian number of `size` bytes.
int64_t number_at(Bytes file, size_t at, size_t size) {
  if (at + size > file.size()) fail("a BMP file ends after {} bytes", file.size());
  uint32_t v = 0;
  for (size_t i = 0; i < size; ++i) v |= static_cast<uint32_t>(file[at + i]) << (8 * i);
  return size == 4 ? static_cast<int32_t>(v) : static_cast<int64_t>(v);
}

// Rows are padded to 4 bytes, and go from the bottom up where the height is positive.
Image decode_bmp(Bytes file) {
  const int64_t pixels = number_at(file, 10, 4), header = number_at(file, 14, 4);
  const int64_t width = number_at(file, 18, 4), signed_height = number_at(file, 22, 4);
  const int64_t bits = number_at(file, 28, 2), compression = number_at(file, 30, 4);
  if (header < 40 || compression != 0 || (bits != 8 && bits != 24 && bits != 32))
    fail_unsupported("a BMP file of {} bits, compression {}", bits, compression);
  const int64_t height = std::abs(signed_height), bytes = bits / 8;
  Image image = blank(width, height);
  const int64_t row = (width * bytes + 3) / 4 * 4;
  if (pixels < 0 || pixels + row * height > std::ssize(file))
    fail("a BMP file of {} x {} pixels ends after {} bytes", width, height, file.size());
  for (int64_t y = 0; y < height; ++y) {
    const int64_t line = signed_height > 0 ? height - 1 - y : y;
    for (int64_t x = 0; x < width; ++x) {
      auto at = static_cast<size_t>(pixels + line * row + x * bytes);
      if (bits == 8) {  // an index of the palette after the header
        at = static_cast<size_t>(14 + header) + 4 * static_cast<size_t>(file[at]);
        number_at(file, at, 4);
      }
      put(image, y * width + x, file[at + 2], file[at + 1], file[at]);
    }
  }
  return image;
}

// --- PNM -----------------------------------------------------------------------------------------

class PnmReader {
 public:
  explicit PnmReader(Bytes file) : file_(file) {}

  Image read() {
    const char kind = static_cast<char>(file_[1]);
    const bool text = kind == '2' || kind == '3';
    const int64_t width = number(), height = number(), most = number();
    if (most < 1 || most > 255) fail_unsupported("a PNM file of values up to {}", most);
    ++at_;  // one white space
    Image image = blank(width, height);
    const auto value = [&] {
      const int64_t v = text ? number() : byte();
      return static_cast<uint8_t>((std::min(v, most) * 255 + most / 2) / most);
    };
    for (int64_t i = 0; i < width * height; ++i) {
      const uint8_t r = value();
      const bool grey = kind == '2' || kind == '5';
      const uint8_t g = grey ? r : value(), b = grey ? r : value();
      put(image, i, r, g, b);
    }
    return image;
  }

 private:
  int64_t byte() {
    if (at_ >= file_.size()) fail("a PNM file ends after {} bytes", file_.size());
    return file_[at_++];
  }
  int64_t number() {
    int64_t c = byte();
    while (c == '#' || c <= ' ') {
      while (c == '#' && byte() != '\n') {
      }
      c = byte();
    }
    int64_t v = 0;
    for (; c >= '0' && c <= '9' && v < int64_t{1} << 32; c = byte()) {
      v = 10 * v + c - '0';
      if (at_ == file_.size()) return v;
    }
    --at_;
    return v;
  }

  Bytes file_;
  size_t at_ = 2;
};

// --- by libraries --------------------------------------------------------------------------------

struct JpegError {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void jpeg_failed(j_common_ptr state) {
  auto* error = reinterpret_cast<JpegError*>(state->err);
  error->manager.format_message(state, error->message);
  std::longjmp(error->back, 1);
}

// False where the library reported an error, which it does by a jump: nothing that has a destructor
// may live in f while the library runs.
template <class F>
bool succeeds(JpegError& error, const F& f) {
  if (setjmp(error.back) != 0) return false;
  f();
  return true;
}

Image decode_jpeg(Bytes file) {
  jpeg_decompress_struct state = {};
  JpegError error = {};
  state.err = jpeg_std_error(&error.manager);
  error.manager.error_exit = jpeg_failed;
  error.manager.emit_message = [](j_common_ptr, int) {};
  jpeg_create_decompress(&state);
  const Owned<jpeg_decompress_struct, jpeg_destroy_decompress> owned(&state);
  const bool begun = succeeds(error, [&] {
    jpeg_mem_src(&state, file.data(), file.size());
    jpeg_read_header(&state, TRUE);
  });
  if (!begun) fail("a JPEG file: {}", static_cast<const char*>(error.message));
  Image image = blank(state.image_width, state.image_height);
  const bool read = succeeds(error, [&] {
    state.out_color_space = JCS_RGB;
    jpeg_start_decompress(&state);
    while (state.output_scanline < state.output_height) {
      JSAMPROW row = image.rgb.data() + size_t{3} * state.output_scanline * state.output_width;
      jpeg_read_scanlines(&state, &row, 1);
    }
    jpeg_finish_decompress(&state);
  });
  if (!read) fail("a JPEG file: {}", static_cast<const char*>(error.message));
  return image;
}

Image decode_png(Bytes file) {
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  const Owned<png_image, png_image_free> owned(&png);
  if (png_image_begin_read_from_memory(&png, file.data(), file.size()) == 0)
    fail("a PNG file: {}", static_cast<const char*>(png.message));
  png.format = PNG_FORMAT_RGBA;
  Image image = blank(png.width, png.height);
  std::vector<uint8_t> rgba(PNG_IMAGE_SIZE(png));
  if (png_image_finish_read(&png, nullptr, rgba.data(), 0, nullptr) == 0)
    fail("a PNG file: {}", static_cast<const char*>(png.message));
  for (int64_t i = 0; i < image.width * image.height; ++i) {
    const uint8_t* from = rgba.data() + 4 * i;
    put(image, i, from[0], from[1], from[2]);
  }
  return image;
}

Image decode_webp(Bytes file) {
  int width = 0, height = 0;
  if (WebPGetInfo(file.data(), file.size(), &width, &height) == 0) fail("a broken WebP file");
  Image image = blank(width, height);
  if (WebPDecodeRGBInto(file.data(), file.size(), image.rgb.data(), image.rgb.size(), 3 * width) ==
      nullptr)
    fail("a broken WebP file of {} x {} pixels", width, height);
  return image;
}

// A file in memory, as the readers of TIFF and JPEG 2000 want it.
struct Cursor {
  Bytes file;
  size_t at = 0;

  size_t read(void* to, size_t size) {
    const size_t n = at < file.size() ? std::min(size, file.size() - at) : 0;
    if (n > 0) std::memcpy(to, file.data() + at, n);
    at += n;
    return n;
  }
};
Cursor& cursor(void* p) { return *static_cast<Cursor*>(p); }

tmsize_t tiff_read(thandle_t h, void* to, tmsize_t size) {
  return static_cast<tmsize_t>(cursor(h).read(to, static_cast<size_t>(size)));
}
tmsize_t tiff_write(thandle_t, void*, tmsize_t) { return 0; }
toff_t tiff_seek(thandle_t h, toff_t offset, int whence) {
  Cursor& c = cursor(h);
  const size_t from = whence == SEEK_CUR ? c.at : whence == SEEK_END ? c.file.size() : 0;
  return c.at = from + offset;
}
int tiff_close(thandle_t) { return 0; }
toff_t tiff_size(thandle_t h) { return cursor(h).file.size(); }

Image decode_tiff(Bytes file) {
  TIFFSetErrorHandler(nullptr);
  TIFFSetWarningHandler(nullptr);
  Cursor c{file};
  const Owned<TIFF, TIFFClose> tiff(TIFFClientOpen("image", "rm", &c, tiff_read, tiff_write,
                                                   tiff_seek, tiff_close, tiff_size, nullptr,
                                                   nullptr));
  uint32_t width = 0, height = 0;
  if (!tiff || TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width) == 0 ||
      TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height) == 0)
    fail("a broken TIFF file");
  Image image = blank(width, height);
  std::vector<uint32_t> pixels(image.rgb.size() / 3);
  if (TIFFReadRGBAImageOriented(tiff.get(), width, height, pixels.data(), ORIENTATION_TOPLEFT, 1) ==
      0)
    fail("a broken TIFF file of {} x {} pixels", width, height);
  for (size_t i = 0; i < pixels.size(); ++i)
    put(image, static_cast<int64_t>(i), TIFFGetR(pixels[i]), TIFFGetG(pixels[i]),
        TIFFGetB(pixels[i]));
  return image;
}

OPJ_SIZE_T jp2_read(void* to, OPJ_SIZE_T size, void* data) {
  const size_t n = cursor(data).read(to, size);
  return n > 0 ? n : static_cast<OPJ_SIZE_T>(-1);
}
OPJ_OFF_T jp2_skip(OPJ_OFF_T count, void* data) {
  cursor(data).at += static_cast<size_t>(count);
  return count;
}
OPJ_BOOL jp2_seek(OPJ_OFF_T at, void* data) {
  cursor(data).at = static_cast<size_t>(at);
  return OPJ_TRUE;
}

// A component's value at (x, y) in 8 bits; components may be sampled more coarsely.
uint8_t jp2_value(const opj_image_comp_t& c, int64_t x, int64_t y) {
  const int64_t cx = std::min<int64_t>(x / c.dx, c.w - 1),
                cy = std::min<int64_t>(y / c.dy, c.h - 1);
  int64_t v = c.data[cy * c.w + cx];
  if (c.sgnd != 0) v += int64_t{1} << (c.prec - 1);
  v = c.prec > 8 ? v >> (c.prec - 8) : v << (8 - c.prec);
  return static_cast<uint8_t>(std::clamp<int64_t>(v, 0, 255));
}

Image decode_jp2(Bytes file, OPJ_CODEC_FORMAT format) {
  Cursor c{file};
  const Owned<opj_stream_t, opj_stream_destroy> stream(opj_stream_default_create(OPJ_TRUE));
  opj_stream_set_user_data(stream.get(), &c, nullptr);
  opj_stream_set_user_data_length(stream.get(), file.size());
  opj_stream_set_read_function(stream.get(), jp2_read);
  opj_stream_set_skip_function(stream.get(), jp2_skip);
  opj_stream_set_seek_function(stream.get(), jp2_seek);
  const Owned<opj_codec_t, opj_destroy_codec> codec(opj_create_decompress(format));
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  opj_image_t* raw = nullptr;
  const bool begun = opj_setup_decoder(codec.get(), &parameters) != 0 &&
                     opj_read_header(stream.get(), codec.get(), &raw) != 0;
  const Owned<opj_image_t, opj_image_destroy> decoded(raw);
  if (!begun) fail("a broken JPEG 2000 file");
  Image image =
      blank(static_cast<int64_t>(raw->x1) - raw->x0, static_cast<int64_t>(raw->y1) - raw->y0);
  if (opj_decode(codec.get(), stream.get(), raw) == 0 || raw->numcomps < 1)
    fail("a broken JPEG 2000 file of {} x {} pixels", image.width, image.height);
  const uint32_t colours = raw->numcomps >= 3 ? 3 : 1;
  for (uint32_t k = 0; k < colours; ++k)
    if (raw->comps[k].data == nullptr || raw->comps[k].w < 1 || raw->comps[k].h < 1 ||
        raw->comps[k].prec < 1 || raw->comps[k].prec > 31)
      fail("a JPEG 2000 file without component {}", k);
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) {
      uint8_t v[3];
      for (uint32_t k = 0; k < 3; ++k) v[k] = jp2_value(raw->comps[std::min(k, colours - 1)], x, y);
      put(image, y * image.width + x, v[0], v[1], v[2]);
    }
  return image;
}

Image decode(std::span<const std::byte> bytes) {
  const Bytes file(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  using namespace std::string_view_literals;
  if (text.starts_with("BM")) return decode_bmp(file);
  if (text.starts_with("\xff\xd8\xff")) return decode_jpeg(file);
  if (text.starts_with("\x89PNG")) return decode_png(file);
  if (text.starts_with("RIFF") && text.substr(8).starts_with("WEBP")) return decode_webp(file);
  if (text.starts_with("II*\0"sv) || text.starts_with("MM\0*"sv)) return decode_tiff(file);
  if (text.starts_with("\0\0\0\x0cjP  "sv)) return decode_jp2(file, OPJ_CODEC_JP2);
  if (text.starts_with("\xff\x4f\xff\x51")) return decode_jp2(file, OPJ_CODEC_J2K);
  if (text.size() > 2 && text[0] == 'P' &&
      std::string_view("2356").find(text[1]) != std::string_view::npos)
    return PnmReader(file).read();
  fail_unsupported("{} bytes that are no BMP, JPEG, JPEG 2000, PNG, PNM, TIFF or WebP file",
                   file.size());
}

}  // namespace
}  // namespace lathe::onnx

extern "C" __attribute__((visibility("default"))) const lathe::onnx::DecodeImage lathe_images_1 =
    lathe::onnx::decode;
