// A library that loads and is none of providers.
__attribute__((visibility("default"))) int kapell_test_nothing(void);
int kapell_test_nothing(void) { return 0; }
