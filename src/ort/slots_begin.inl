// Included at the head of each list of slots. A user of the lists defines SLOT(index, name, since, type, params, owner, state, note),
// or STATUS, NOTHING and VALUE by themselves where the kind of the result matters.
#ifdef SLOT
#define STATUS(index, name, since, params, owner, state, note) SLOT(index, name, since, OrtStatus*, params, owner, state, note)
#define NOTHING(index, name, since, params, owner, state, note) SLOT(index, name, since, void, params, owner, state, note)
#define VALUE(index, name, since, type, params, owner, state, note) SLOT(index, name, since, type, params, owner, state, note)
#endif
