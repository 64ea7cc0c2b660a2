// Links made of what their user brings: Classifier and Sequential.
#include <algorithm>
#include <string>
#include <vector>

#include "links.h"

namespace catena::links {

using namespace link_attr;

void classifier_init(sdk::LinkRef link, sdk::Attrs attrs) {
  // A link given as a loss is no child: files and optimizers do not see it.
  link.add_child("predictor", attrs[classifier::predictor].u.link);
}

sdk::Var classifier_call(sdk::LinkRef link, sdk::Vars in) {
  const int64_t key = link.attr(classifier::label_key).u.i;
  const int64_t n = in.size();
  if (key < -n || key >= n) sdk::fail(CTN_EINVAL, "Label key ", key, " is out of bounds");
  std::vector<ctn_variable> args(in.data(), in.data() + n);
  const auto label = args.begin() + (key < 0 ? key + n : key);
  const ctn_variable t = *label;
  args.erase(label);
  for (const char* name : {"y", "loss", "accuracy"}) link.set_state(name, nullptr);

  const sdk::Var y = call_function(link.attr(classifier::predictor),
                                   sdk::Vars(args.data(), static_cast<int>(args.size())));
  link.set_state("y", y);
  const ctn_variable pair[] = {y.get(), t};
  sdk::Var loss = call_function(link.attr(classifier::lossfun), sdk::Vars(pair, 2));
  link.set_state("loss", loss);
  const ctn_value accfun = link.attr(classifier::accfun);
  if (link.attr(classifier::compute_accuracy).u.i != 0 && accfun.kind != CTN_NONE)
    link.set_state("accuracy", call_function(accfun, sdk::Vars(pair, 2)));
  return loss;
}

// Chainer numbers the links of a Sequential in the order in which its insert() leaves them: each
// goes behind the first layer that is a link. Files hold these names, so it is kept.
void sequential_init(sdk::LinkRef link, sdk::Attrs attrs) {
  const std::span<const ctn_value> layers = attrs.list(sequential::layers);
  std::vector<ctn_link> children;
  size_t first = 0;  // position of the first link among the layers before the current one
  bool found = false;
  for (size_t k = 0; k < layers.size(); ++k) {
    const int32_t kind = layers[k].kind;
    if (kind != CTN_LINK && kind != CTN_STR && kind != CTN_CALLBACK && kind != CTN_LIST)
      sdk::fail(CTN_EINVAL, "Sequential: layer ", k, " is no link, function or name of one");
    if (kind != CTN_LINK) continue;
    const size_t at = k == 0 ? 0 : std::min((found ? first : 0) + 1, children.size());
    children.insert(children.begin() + static_cast<ptrdiff_t>(at), layers[k].u.link);
    if (!found) first = k;
    found = true;
  }
  for (size_t k = 0; k < children.size(); ++k) link.add_child(std::to_string(k), children[k]);
}

namespace {

// Names of functions and the program's own functions are no links, which name themselves.
sdk::Var call_layer(const ctn_value& layer, uint32_t k, sdk::Vars in) {
  try {
    return call_function(layer, in);
  } catch (const sdk::Error& e) {
    if (std::string_view(e.what()).find("\n\nIn the link ") != std::string_view::npos) throw;
    const std::string name =
        layer.kind == CTN_STR ? " (" + std::string(layer.u.s, layer.n) + ")" : std::string();
    throw sdk::Error(e.status(), sdk::text(e.what(), "\n\nAt layer ", k, name, "."));
  }
}

}  // namespace

sdk::Var sequential_call(sdk::LinkRef link, sdk::Vars in) {
  const ctn_value layers = link.attr(sequential::layers);
  if (layers.n == 0) {
    if (in.size() != 1) sdk::fail(CTN_EINVAL, "a Sequential without layers takes one input");
    return sdk::Var(in[0]);
  }
  sdk::Var x = call_layer(layers.u.list[0], 0, in);
  for (uint32_t k = 1; k < layers.n; ++k) {
    const ctn_variable one = x.get();
    x = call_layer(layers.u.list[k], k, sdk::Vars(&one, 1));
  }
  return x;
}

}  // namespace catena::links
