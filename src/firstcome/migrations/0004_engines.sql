-- Engines by any name: which there are, the code alone says (model.Engine).

ALTER TABLE campaigns
    DROP CONSTRAINT campaigns_engine_check,
    ADD CONSTRAINT campaigns_engine_check CHECK (engine ~ '^[a-z][a-z0-9-]{0,31}$');
