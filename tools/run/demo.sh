# ./run demo: trains the convnet of examples/ on real images.
# shellcheck shell=bash
run_demo() {
  need build demo
  configure build -Ddemo=enabled
  compile build
  mkdir -p build/demo
  step 'train on Fashion-MNIST (minutes)' build/examples/fashion_mnist --out build/demo "$@"
}
