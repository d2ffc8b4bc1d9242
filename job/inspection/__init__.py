"""Looking at runs in a store from outside: what happened to them, and whether what they left is whole.  Takes no run over."""
