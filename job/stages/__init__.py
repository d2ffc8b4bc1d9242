"""The stages of a run, in the order the data flows: fetch, prepare, train, evaluate, publish; one public function each."""
