// serializers of the C++ binding: models, optimizers and arrays in files, buffers and functions.
#include <catena/catena.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "main.h"

using namespace catena;
namespace npz = catena::serializers;

namespace {

using Bytes = std::vector<std::byte>;
using Floats = std::vector<float>;

struct Net : Chain {
  L::Linear l1 = child("l1", L::Linear(3, 2));
  L::Linear l2 = child("l2", L::Linear(2, 1));
  Variable operator()(const Variable& x) const { return l2(F::tanh(l1(x))); }
};

void train(Net& net, Optimizer& optimizer) {
  const Variable x(Array::from(Floats{1, -2, 3, 4, 5, -6}, {2, 3}), false);
  net.cleargrads();
  F::sum(net(x)).backward();
  optimizer.update();
}

Floats weights(const Net& net) { return net.param("l1/W").array().to_vector<float>(); }

class File {
 public:
  File() : path_(std::filesystem::temp_directory_path() / ("catena-" + std::to_string(id()))) {}
  ~File() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }
  Bytes bytes() const {
    std::ifstream in(path_, std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(in), {}};
    const auto* p = reinterpret_cast<const std::byte*>(all.data());
    return {p, p + all.size()};
  }

 private:
  static uint64_t id() {
    uint64_t n = 0;
    std::ifstream("/dev/urandom", std::ios::binary).read(reinterpret_cast<char*>(&n), sizeof n);
    return n;
  }
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("a model and its optimizer continue from buffers as from files") {
  const Context ctx("cpu");
  Net first, second;
  optimizers::Adam a, b;
  a.setup(first);
  b.setup(second);
  train(first, a);
  for (const bool compress : {true, false}) {
    const File file;
    Bytes model{std::byte{7}}, states;
    npz::save_npz(model, first, compress);
    npz::save_npz(file.path(), first, compress);
    CHECK(model == file.bytes());
    npz::save_npz(states, a, compress);
    npz::save_npz(file.path(), a, compress);
    CHECK(states == file.bytes());
    npz::load_npz(model, second);
    npz::load_npz(states, b);
    CHECK(weights(second) == weights(first));
    CHECK(b.t() == a.t());
    train(first, a);
    train(second, b);
    CHECK(weights(second) == weights(first));
  }
}

TEST_CASE("arrays by name, with None") {
  const Context ctx("cpu");
  const npz::Arrays arrays = {
      {"x", Array::from(Floats{1, 2}, {2, 1})}, {"n", Array::of<int64_t>({3})}, {"none", Array()}};
  Bytes bytes;
  npz::save_npz(bytes, arrays);
  const File file;
  npz::save_npz(file.path(), arrays);
  CHECK(bytes == file.bytes());
  for (const npz::Arrays& found : {npz::load_npz(bytes), npz::load_npz(file.path())}) {
    REQUIRE(found.size() == 3);
    CHECK(found.at("x").shape() == Shape{2, 1});
    CHECK(found.at("x").to_vector<float>() == Floats{1, 2});
    CHECK(found.at("n").to_vector<int64_t>() == std::vector<int64_t>{3});
    CHECK(!found.at("none"));
  }
}

TEST_CASE("what a writer throws comes out, and a buffer keeps its content") {
  const Context ctx("cpu");
  Net net;
  struct Full {
    int after;
  };
  int calls = 0;
  const auto writer = [&](std::span<const std::byte>) {
    ++calls;
    throw Full{42};
  };
  CHECK_THROWS_AS(npz::save_npz(writer, net), Full);
  CHECK(calls == 1);

  optimizers::SGD idle;  // never set up
  Bytes kept{std::byte{1}, std::byte{2}};
  CHECK_THROWS_AS(npz::save_npz(kept, idle), InvalidArgument);
  CHECK(kept == Bytes{std::byte{1}, std::byte{2}});

  Bytes good;
  npz::save_npz(good, net);
  const Floats before = weights(net);
  CHECK_THROWS_AS(npz::load_npz(std::span(good).first(good.size() - 1), net), FormatError);
  CHECK_THROWS_AS(npz::load_npz(Bytes{}, net), FormatError);
  CHECK(weights(net) == before);
}
