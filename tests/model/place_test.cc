// A failure inside a model says where in the model it arose.
#include <catena/catena.hpp>

#include "main.h"

using namespace catena;

namespace {

struct Block : Chain {
  L::Linear fc = child("fc", L::Linear(5, 2));
};
struct Model : Chain {
  Block block = child("block", Block());
  L::Linear out = child("out", L::Linear(2, 1));
};

std::string failure(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no failure";
}

constexpr const char* kTypeCheck =
    "Invalid operation is performed in: LinearFunction (Forward)\n\n"
    "Expect: in_types[0].shape[1] == in_types[1].shape[1]\nActual: 3 != 5\n\n";

}  // namespace

TEST_CASE("a failure names the link by its path") {
  const Context ctx("cpu");
  const Model model;
  const Variable x(Array::zeros({4, 3}));
  CHECK(failure([&] { model.block.fc(x); }) ==
        std::string(kTypeCheck) + "In the link Linear '/block/fc'.");
}

TEST_CASE("the innermost link is named, once; a link of its own by its class") {
  const Context ctx("cpu");
  const Sequential net({L::Linear(3, 4), L::Linear(5, 2)});
  const Variable x(Array::zeros({4, 3}));
  const std::string text = failure([&] { net(x); });
  CHECK(text.ends_with("In the link Linear '/1'."));
  CHECK(text.find("In the link") == text.rfind("In the link"));
  CHECK(failure([&] { L::Linear(5, 2)(x); }) == std::string(kTypeCheck) + "In the link Linear.");
}

TEST_CASE("a link outlives the parent that named it") {
  const Context ctx("cpu");
  L::Linear fc;
  {
    const Model model;
    fc = model.block.fc;
  }
  CHECK(failure([&] { fc(Variable(Array::zeros({4, 3}))); }).ends_with("In the link Linear."));
}
