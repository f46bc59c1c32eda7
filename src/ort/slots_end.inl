// Included at the end of each list of slots.
#ifdef SLOT
#undef STATUS
#undef NOTHING
#undef VALUE
#endif
#undef TABLE
#undef PREFIX
