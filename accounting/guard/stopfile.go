package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"bursar/accounting"
)

// stopFile is what Options.StopFile holds: the rules as they were last known,
// and what only this replica knows of stops.
type stopFile struct {
	Version int64               `json:"version"`
	Budgets []accounting.Budget `json:"budgets"`
	Stops   []accounting.Stop   `json:"stops"`
	Local   []localStop         `json:"local"`

	Experiments []accounting.Experiment `json:"experiments"`
}

// readStopFile goes by the rules of the file, if there is one, until the
// database has been read.
func (g *Guard) readStopFile() error {
	if g.o.StopFile == "" {
		return nil
	}
	raw, err := os.ReadFile(g.o.StopFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the stops: %w", err)
	}
	var f stopFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("read the stops in %s: %w", g.o.StopFile, err)
	}
	for _, s := range f.Local {
		if s.Lifted && (s.Stop.LiftedAt == nil || s.Stop.LiftedBy == nil) {
			return fmt.Errorf("read the stops in %s: stop %s is lifted, but nobody did it", g.o.StopFile, s.Stop.ID)
		}
	}
	g.local.list = f.Local
	g.exchange(accounting.GuardRules{Version: f.Version, Budgets: f.Budgets, Stops: f.Stops, Experiments: f.Experiments})
	return nil
}

// writeStopFile keeps the rules in use. rulesMu is held.
func (g *Guard) writeStopFile() error {
	set := g.set.Load()
	if g.o.StopFile == "" || set == nil {
		return nil
	}
	raw, err := json.MarshalIndent(stopFile{
		Version: set.version, Budgets: set.budgets, Stops: set.remote, Local: g.local.list, Experiments: set.experiments,
	}, "", "\t")
	if err != nil {
		return fmt.Errorf("write the stops: %w", err)
	}
	if err := replaceFile(g.o.StopFile, raw); err != nil {
		return fmt.Errorf("write the stops: %w", err)
	}
	return nil
}

// replaceFile writes a file that is, after a loss of power too, either the old
// or the new one.
func replaceFile(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
