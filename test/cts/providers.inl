// The providers under test. For each, apart from one another: what it does not support, for ever and why (it must refuse those cases), and
// what is expected to fail (a mistake that is known; the list must shrink: a case that passes against it fails the run).
//
// A name may also be one of the behaviours in cts_test.c. "*" stands for every case that is not listed as supported.
{.name = "CPU", .type = &kp_provider_cpu, .options = "",
 .notes = (const cts_note[]){
     {CTS_UNSUPPORTED, "branch", "control flow belongs to exec"},
     {CTS_UNSUPPORTED, "loop", "control flow belongs to exec"},
     {CTS_END, NULL, NULL}}},
{.name = "Mock", .type = &kp_mock_type, .options = "",
 .notes = (const cts_note[]){
     {CTS_UNSUPPORTED, "branch", "control=0"},
     {CTS_UNSUPPORTED, "loop", "control=0"},
     {CTS_UNSUPPORTED, "strings", "device memory holds dense tensors of fixed width"},
     {CTS_UNSUPPORTED, "no_allocation_in_a_second_run", "its evaluator makes new values"},
     {CTS_END, NULL, NULL}}},
{.name = "Mock atomic, control", .type = &kp_mock2_type, .options = "atomic=1 control=1 device_id=1",
 .notes = (const cts_note[]){
     {CTS_UNSUPPORTED, "strings", "device memory holds dense tensors of fixed width"},
     {CTS_UNSUPPORTED, "no_allocation_in_a_second_run", "its evaluator makes new values"},
     {CTS_END, NULL, NULL}}},
{.name = "Mock streams", .type = &kp_mock3_type, .options = "streams=1 control=1 delay_us=200",
 .notes = (const cts_note[]){
     {CTS_UNSUPPORTED, "strings", "device memory holds dense tensors of fixed width"},
     {CTS_UNSUPPORTED, "no_allocation_in_a_second_run", "its evaluator makes new values"},
     {CTS_END, NULL, NULL}}},
{.name = "Mock static", .type = &kp_mock_type, .options = "static=1",
 .notes = (const cts_note[]){
     {CTS_UNSUPPORTED, "branch", "control=0"},
     {CTS_UNSUPPORTED, "loop", "control=0"},
     {CTS_UNSUPPORTED, "shape_decided_by_data", "static=1 needs every shape before a run"},
     {CTS_UNSUPPORTED, "strings", "device memory holds dense tensors of fixed width"},
     {CTS_UNSUPPORTED, "no_allocation_in_a_second_run", "its evaluator makes new values"},
     {CTS_END, NULL, NULL}}},
{.name = "Null", .type = &kp_null_type, .options = "",
 .notes = (const cts_note[]){
     {CTS_UNSUPPORTED, "*", "it has Neg alone"},
     {CTS_SUPPORTED, "one_node", "Neg"},
     {CTS_SUPPORTED, "chain", "Neg"},
     {CTS_SUPPORTED, "inner_value_is_an_output", "Neg"},
     {CTS_SUPPORTED, "scalar", "Neg"},
     {CTS_SUPPORTED, "no_elements", "Neg"},
     {CTS_END, NULL, NULL}}},
