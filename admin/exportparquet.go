package admin

import (
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go"

	"bursar/accounting"
)

// parquetGroup is how many rows are held in memory, compressed, until they are
// written as one row group.
const parquetGroup = 10_000

// parquetPage is how many bytes of one column are held uncompressed.
const parquetPage = 32 << 10

// parquetEncoder writes rows as Apache Parquet. Every column is optional. An
// amount is text: a DECIMAL has a fixed number of digits, OpenRouter's amounts
// have not.
type parquetEncoder struct {
	columns []accounting.ExportColumn
	writer  *parquet.GenericWriter[any]
	row     parquet.Row // reused
}

func newParquetEncoder(w io.Writer, columns []accounting.ExportColumn) *parquetEncoder {
	return &parquetEncoder{
		columns: columns,
		writer: parquet.NewGenericWriter[any](w, parquetSchema(columns),
			parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(parquetGroup), parquet.PageBufferSize(parquetPage), parquet.CreatedBy("bursar", "", "")),
		row: make(parquet.Row, len(columns)),
	}
}

// parquetSchema is made from a struct since only that keeps the order of the
// columns.
func parquetSchema(columns []accounting.ExportColumn) *parquet.Schema {
	text, number, truth := reflect.TypeFor[string](), reflect.TypeFor[int64](), reflect.TypeFor[bool]()
	fields := make([]reflect.StructField, len(columns))
	for i := range columns {
		typ, option := text, ""
		switch columns[i].Kind {
		case accounting.ExportInteger:
			typ = number
		case accounting.ExportTime:
			typ, option = number, ",timestamp(microsecond)"
		case accounting.ExportBool:
			typ = truth
		case accounting.ExportObject:
			option = ",json"
		case accounting.ExportText, accounting.ExportAmount:
		}
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("Column%d", i), Type: typ,
			Tag: reflect.StructTag(fmt.Sprintf(`parquet:"%s,optional%s"`, columns[i].Name, option)),
		}
	}
	return parquet.NewSchema("usage", parquet.SchemaOf(reflect.New(reflect.StructOf(fields)).Interface()))
}

// Encode implements [accounting.ExportEncoder].
func (e *parquetEncoder) Encode(row *accounting.ExportRow) error {
	for i := range e.columns {
		cell := e.columns[i].Read(row)
		if !cell.Known {
			e.row[i] = parquet.NullValue().Level(0, 0, i)
			continue
		}
		value := parquet.ValueOf(cell.Text)
		switch e.columns[i].Kind {
		case accounting.ExportInteger:
			value = parquet.Int64Value(cell.Integer)
		case accounting.ExportTime:
			value = parquet.Int64Value(cell.Time.UnixMicro())
		case accounting.ExportBool:
			value = parquet.BooleanValue(cell.Integer != 0)
		case accounting.ExportText, accounting.ExportAmount, accounting.ExportObject:
		}
		e.row[i] = value.Level(0, 1, i)
	}
	_, err := e.writer.WriteRows([]parquet.Row{e.row})
	return err
}

// Close implements [accounting.ExportEncoder].
func (e *parquetEncoder) Close() error { return e.writer.Close() }
