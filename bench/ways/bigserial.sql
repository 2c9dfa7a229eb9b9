-- What a column of type bigserial has for itself, to draw from without a row.

CREATE SEQUENCE ids;
