// Every family of operators, one line each: KP_TABLE(family) finds kp_ops_<family> at the end of op/<family>.c.
KP_TABLE(binary)
KP_TABLE(shape)
KP_TABLE(unary)
KP_TABLE(matmul)
