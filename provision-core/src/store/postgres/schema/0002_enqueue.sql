-- Commands of a host that uses the same database: handed over by a transaction of its own, taken in by the engine.

CREATE TABLE "inbox" (
  "number" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "actor" text COLLATE "C",
  "change" jsonb NOT NULL,
  "at" timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT "inbox__key" UNIQUE ("realm", "key")
);

-- Hands a change over, once for each key of a realm; its number, or NULL where it was taken in a moment ago. Refuses
-- what can be no change at all; whether there is such an identity is found later.
CREATE FUNCTION "enqueue"("realm" text, "key" text, "change" jsonb, "actor" text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $enqueue$
DECLARE
  given bigint;
  known jsonb;
BEGIN
  IF coalesce("realm", '') = '' THEN
    RAISE EXCEPTION 'enqueue: no realm' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF coalesce(octet_length("key"), 0) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'enqueue: the idempotency key has 1 to 200 bytes' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF coalesce(jsonb_typeof("change"), '') <> 'object' OR octet_length("change"::text) > 60000 THEN
    RAISE EXCEPTION 'enqueue: the change is a JSON object of at most 60000 bytes'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF coalesce("change" ->> 'request', '') NOT IN ('grant', 'revoke', 'extend', 'terminate') THEN
    RAISE EXCEPTION 'enqueue: "request" is grant, revoke, extend or terminate'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF coalesce("change" ->> 'identity', '') !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    RAISE EXCEPTION 'enqueue: "identity" is the id of an identity' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO "inbox" ("realm", "key", "actor", "change")
    VALUES (enqueue."realm", enqueue."key", enqueue."actor", enqueue."change")
    ON CONFLICT ON CONSTRAINT "inbox__key" DO NOTHING RETURNING "number" INTO given;
  IF given IS NULL THEN
    SELECT held."number", held."change" INTO given, known FROM "inbox" AS held
      WHERE held."realm" = enqueue."realm" AND held."key" = enqueue."key";
    IF known <> enqueue."change" THEN
      RAISE EXCEPTION 'enqueue: the idempotency key was used for another change' USING ERRCODE = 'unique_violation';
    END IF;
  END IF;
  -- Told when the transaction commits; not at all when it does not.
  PERFORM pg_notify('provision_' || current_schema(), 'enqueue');
  RETURN given;
END
$enqueue$;
