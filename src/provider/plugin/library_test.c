// Registering libraries of providers: what works, and every way in which one can be wrong (test/plugins/adder.c).
#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/size.h"
#include "provider/plugin/plugin.h"
#include "support/expect.h"

#define ADDER KAPELL_BINARY_DIR "/test/plugins/libadder.so"
#define EMPTY KAPELL_BINARY_DIR "/test/plugins/libempty.so"

static size_t device_count(void) {
  const OrtEnv* env = kp_ort_env_current();
  return env ? env->ep_device_count : 0;
}

static void a_library_comes_and_goes(void** state) {
  (void)state;
  kp_test_must(kp_plugin_register("plain-one", ADDER, NULL, 0));
  assert_string_equal(kp_provider_canonical(kp_str_of("PLAIN-One")), "plain-one");
  assert_int_equal(device_count(), 2);
  const OrtEpDevice* device = kp_ort_env_current()->ep_devices[1];
  assert_string_equal(ort_EpDevice_EpName(device), "plain-one");
  assert_string_equal(ort_EpDevice_EpVendor(device), "Kapell's tests");
  assert_string_equal(kp_ort_pairs_get(&device->metadata, "version"), "1.2.3");
  assert_string_equal(kp_ort_pairs_get(&device->metadata, "speed"), "fast");
  assert_string_equal(kp_ort_pairs_get(&device->metadata, "library_path"), ADDER);
  assert_string_equal(kp_ort_pairs_get(&device->options, "from_device"), "yes");
  kp_test_expect(kp_plugin_register("plain-one", ADDER, NULL, 0), KAPELL_INVALID_ARGUMENT,
                 "registered under 'plain-one' already");
  kp_test_must(kp_plugin_register("plain-two", ADDER, NULL, 0));
  assert_int_equal(device_count(), 3);
  kp_test_must(kp_plugin_unregister("plain-one"));
  assert_null(kp_provider_canonical(kp_str_of("plain-one")));
  assert_null(kp_provider_find("plain-one"));
  assert_int_equal(device_count(), 2);
  kp_test_must(kp_plugin_unregister("plain-two"));
  kp_test_expect(kp_plugin_unregister("plain-two"), KAPELL_NOT_FOUND,
                 "no provider library is registered");
  assert_null(kp_ort_env_current());
}

static void a_type_in_use_outlives_its_registration(void** state) {
  (void)state;
  kp_test_must(kp_plugin_register("plain", ADDER, NULL, 0));
  const kp_provider_type* type = kp_provider_find("plain");
  assert_non_null(type);
  assert_true(type->flags & KP_PROVIDER_HOSTED);
  kp_test_must(kp_plugin_unregister("plain"));
  assert_null(kp_provider_find("plain"));
  const kp_plugin_type* plugin = kp_plugin_type_of(type);
  assert_string_equal(plugin->factory->GetName(plugin->factory), "plain");
  assert_int_equal(plugin->device_count, 1);
  kp_test_must(kp_plugin_register("plain", ADDER, NULL, 0));  // the name is free again
  kp_provider_unfind(type);
  kp_test_must(kp_plugin_unregister("plain"));
}

static void what_is_wrong_is_told(void** state) {
  (void)state;
  static const struct {
    const char *name, *path;
    kapell_code code;
    const char* words;
  } cases[] = {
      {"x", "/no/such/library.so", KAPELL_NOT_FOUND, "there is no library '/no/such/library.so'"},
      {"x", __FILE__, KAPELL_PROVIDER_UNAVAILABLE, "does not load"},
      {"x", EMPTY, KAPELL_PROVIDER_UNAVAILABLE, "does not export CreateEpFactories"},
      {"", ADDER, KAPELL_INVALID_ARGUMENT, "needs a name"},
      {"plain,other", ADDER, KAPELL_INVALID_ARGUMENT,
       "lists of providers could not carry that name"},
      {"plain>=9", ADDER, KAPELL_INVALID_ARGUMENT, "lists of providers could not carry that name"},
      {" plain", ADDER, KAPELL_INVALID_ARGUMENT, "lists of providers could not carry that name"},
      {"cpu", ADDER, KAPELL_INVALID_ARGUMENT, "there is a provider called 'cpu' already"},
      {"failfactories", ADDER, KAPELL_RUN_FAILED, "the library is out of order"},
      {"manyfactories", ADDER, KAPELL_PROVIDER_UNAVAILABLE, "says that it made 9 factories"},
      {"nullfactory", ADDER, KAPELL_PROVIDER_UNAVAILABLE, "factory 0 of the library"},
      {"nogetname", ADDER, KAPELL_PROVIDER_UNAVAILABLE, "lacks one of GetName"},
      {"nullname", ADDER, KAPELL_PROVIDER_UNAVAILABLE, "has no name"},
      {"faildevices", ADDER, KAPELL_RUN_FAILED, "the driver is asleep"},
      {"foreigndevice", ADDER, KAPELL_PROVIDER_UNAVAILABLE, "was not made by CreateEpDevice"},
      {"manydevices", ADDER, KAPELL_PROVIDER_UNAVAILABLE, "says that it has 9 devices"},
      {"badallocator", ADDER, KAPELL_RUN_FAILED, "lacks Alloc, Free or Info"},
  };
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    kp_test_expect(kp_plugin_register(cases[i].name, cases[i].path, NULL, 0), cases[i].code,
                   cases[i].words);
    assert_null(kp_ort_env_current());  // nothing is left
  }
}

static void nothing_to_offer_is_no_error(void** state) {
  (void)state;
  kp_test_must(kp_plugin_register("zerofactories", ADDER, NULL, 0));
  assert_null(kp_provider_find("zerofactories"));
  kp_test_must(kp_plugin_unregister("zerofactories"));
  kp_test_must(kp_plugin_register("nodevices", ADDER, NULL, 0));
  const kp_provider_type* type = kp_provider_find("nodevices");
  assert_non_null(type);
  kp_arena arena = {0};
  kp_probe probe = {.type = type, .arena = &arena};
  kp_test_must(type->probe(NULL, &probe));
  assert_false(probe.available);
  assert_non_null(strstr(probe.reason, "nothing on this machine"));
  kp_arena_free(&arena);
  kp_provider_unfind(type);
  kp_test_must(kp_plugin_unregister("nodevices"));
}

// One function of the host's is called while the library loads, as CUDA's does.
static void the_bridge_finds_a_host(void** state) {
  (void)state;
  kp_test_must(
      kp_plugin_register("bridge", KAPELL_BINARY_DIR "/test/plugins/libbridge.so", NULL, 0));
  kp_test_must(kp_plugin_unregister("bridge"));
}

static void members_newer_than_the_version_are_not_called(void** state) {
  (void)state;
  kp_test_must(kp_plugin_register("old", ADDER, NULL, 0));
  assert_null(kp_ort_pairs_get(&kp_ort_env_current()->ep_devices[1]->metadata, "version"));
  kp_test_must(kp_plugin_unregister("old"));
}

static void members_that_nobody_set_are_not_called(void** state) {
  (void)state;
  kp_test_must(kp_plugin_register("unsetmembers", ADDER, NULL, 0));
  const kp_provider_type* type = kp_provider_find("unsetmembers");
  const OrtEpFactory* factory = kp_plugin_type_of(type)->factory;
  assert_null(factory->CreateDataTransfer);
  assert_null(factory->IsStreamAware);
  assert_null(factory->GetNumCustomOpDomains);
  assert_true(KP_PLUGIN_HAS(factory, GetVersion, 23));
  assert_string_equal(kp_ort_pairs_get(&kp_ort_env_current()->ep_devices[1]->metadata, "version"),
                      "1.2.3");
  kp_provider_unfind(type);
  kp_test_must(kp_plugin_unregister("unsetmembers"));
}

static void memory_is_shared_while_registered(void** state) {
  (void)state;
  kp_test_must(kp_plugin_register("withmemory", ADDER, NULL, 0));
  OrtEnv* env = kp_ort_env_current();
  const OrtEpDevice* device = env->ep_devices[1];
  const OrtMemoryInfo* info = ort_EpDevice_MemoryInfo(device, OrtDeviceMemoryType_DEFAULT);
  OrtAllocator *first, *second;
  assert_null(ort_GetSharedAllocator(env, info, &first));
  assert_non_null(first);
  void* memory = first->Alloc(first, 16);
  assert_non_null(memory);
  first->Free(first, memory);
  assert_null(ort_CreateSharedAllocator(env, device, OrtDeviceMemoryType_DEFAULT,
                                        OrtDeviceAllocator, NULL, &second));
  assert_ptr_not_equal(first, second);  // in its place
  assert_int_equal(env->shared_count, 1);
  assert_null(ort_ReleaseSharedAllocator(env, device, OrtDeviceMemoryType_DEFAULT));
  assert_null(ort_GetSharedAllocator(env, info, &first));
  assert_null(first);
  assert_int_equal(env->transfer_count, 1);
  assert_ptr_equal(kp_ort_env_transfer(env, NULL, NULL), env->transfers[0].transfer);
  kp_test_must(kp_plugin_unregister("withmemory"));
}

static void virtual_devices_need_a_name_that_asks_for_them(void** state) {
  (void)state;
  kp_test_must(kp_plugin_register("virtual-a", ADDER, NULL, 0));
  assert_int_equal(device_count(), 2);
  kp_test_must(kp_plugin_unregister("virtual-a"));
  kp_test_must(kp_plugin_register("virtual-a.virtual", ADDER, NULL, 0));
  assert_int_equal(device_count(), 3);
  assert_int_equal(kp_ort_env_current()->ep_devices[2]->device->type, OrtHardwareDeviceType_NPU);
  kp_test_must(kp_plugin_unregister("virtual-a.virtual"));
}

static void a_client_that_goes_takes_its_libraries_along(void** state) {
  (void)state;
  OrtEnv* env;
  assert_null(ort_CreateEnv(ORT_LOGGING_LEVEL_ERROR, "first", &env));
  kp_test_must(kp_plugin_register("plain", ADDER, NULL, 0));
  const kp_provider_type* type = kp_provider_find("plain");  // a session that is still there
  ort_ReleaseEnv(env);
  assert_null(kp_provider_canonical(kp_str_of("plain")));
  kp_test_expect(kp_plugin_unregister("plain"), KAPELL_NOT_FOUND, "no provider library");
  assert_non_null(kp_ort_env_current());
  assert_null(ort_CreateEnv(ORT_LOGGING_LEVEL_ERROR, "second", &env));
  assert_int_equal(device_count(), 1);
  assert_string_equal(env->logger.id, "second");
  kp_provider_unfind(type);
  ort_ReleaseEnv(env);
  assert_null(kp_ort_env_current());
}

// Wherever memory runs out there is an error or a library that works, and nothing stays behind.
static void no_memory_is_an_error(void** state) {
  (void)state;
  static const char* const names[] = {"withmemory", "virtual-m.virtual"};
  for (size_t i = 0; i < KP_COUNT_OF(names); ++i) {
    bool failed = true;
    for (uint64_t nth = 1; failed; ++nth) {
      kp_alloc_fail_at(nth);
      kp_status* status = kp_plugin_register(names[i], ADDER, NULL, 0);
      failed = kp_alloc_failed();
      kp_alloc_fail_at(0);
      if (!status) kp_test_must(kp_plugin_unregister(names[i]));
      kp_status_free(status);
      assert_null(kp_ort_env_current());
      assert_null(kp_provider_canonical(kp_str_of(names[i])));
    }
  }
}

static void* come_and_go(void* name) {
  for (int i = 0; i < 20; ++i) {
    kp_test_must(kp_plugin_register(name, ADDER, NULL, 0));
    const kp_provider_type* type = kp_provider_find(name);
    assert_non_null(type);
    for (size_t k = 0; kp_provider_known(k); ++k) assert_non_null(kp_provider_known(0));
    kp_test_must(kp_plugin_unregister(name));
    kp_provider_unfind(type);
  }
  return NULL;
}

static void several_threads_register(void** state) {
  (void)state;
  static char names[4][16] = {"plain-a", "plain-b", "withmemory-c", "plain-d"};
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, names[i]), 0);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  assert_null(kp_ort_env_current());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_library_comes_and_goes),
      cmocka_unit_test(a_type_in_use_outlives_its_registration),
      cmocka_unit_test(what_is_wrong_is_told),
      cmocka_unit_test(nothing_to_offer_is_no_error),
      cmocka_unit_test(the_bridge_finds_a_host),
      cmocka_unit_test(members_newer_than_the_version_are_not_called),
      cmocka_unit_test(members_that_nobody_set_are_not_called),
      cmocka_unit_test(memory_is_shared_while_registered),
      cmocka_unit_test(virtual_devices_need_a_name_that_asks_for_them),
      cmocka_unit_test(a_client_that_goes_takes_its_libraries_along),
      cmocka_unit_test(no_memory_is_an_error),
      cmocka_unit_test(several_threads_register),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
