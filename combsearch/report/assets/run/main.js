"use strict";
// The page of a run begins.
Run.show(Page.data());
