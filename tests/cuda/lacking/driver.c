/* A driver that lacks nearly all functions, as one too old might. */
__attribute__((visibility("default"))) int cuInit(unsigned flags) { return (int)flags; }
