// The providers built into this library, in the order of kp_provider_builtin, the CPU first. A new one is one line here
// (provider/null/README.md has the steps): KP_BUILTIN(its kp_provider_type).
KP_BUILTIN(kp_provider_cpu)
KP_BUILTIN(kp_mock_type)
KP_BUILTIN(kp_mock2_type)
KP_BUILTIN(kp_mock3_type)
#undef KP_BUILTIN
