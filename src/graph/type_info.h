// Types as kapell.h describes them to programs.
#ifndef KP_GRAPH_TYPE_INFO_H_
#define KP_GRAPH_TYPE_INFO_H_

#include "graph/graph.h"
#include "kapell/kapell.h"

// |type| in |arena|: numbers are dims, -1 what only the run knows, with the text of the expression where it has a name.
KP_MUST_USE kp_status* kp_type_info_of(kp_arena* arena, const kp_symbols* symbols,
                                       const kp_type* type, const kapell_type_info** out_info);

#endif  // KP_GRAPH_TYPE_INFO_H_
