-- What tells an unchanged row of a feed, beside the key: read from the index without the row.

ALTER TABLE "source_record" ADD COLUMN "mark" TEXT;

-- "present 7 c0ffee", "absent:2 7 c0ffee": state, ordinal and fingerprint of the body.
UPDATE "source_record" SET "mark" =
  CASE json_type("body", '$.state')
    WHEN 'text' THEN json_extract("body", '$.state')
    ELSE 'absent:' || json_extract("body", '$.state.absent')
  END || ' ' || json_extract("body", '$.ordinal') || ' ' || json_extract("body", '$.fingerprint');

CREATE INDEX "source_record__mark" ON "source_record" ("realm", "key", "mark");
